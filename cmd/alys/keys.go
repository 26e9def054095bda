package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/node"
)

func newKeys(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list and unlock keys",
		Args:  noSubcommand, RunE: help,
		Example: "  alys keys new --purpose approval\n  alys keys list",
		Long:    "Keys live in signer plugins. Every command works with a running node, and `new` and `list` without one: the signer is\nthen started for the moment.",
	}
	cmd.AddCommand(newKeysNew(f), newKeysList(f), newKeysUnlock(f))
	return cmd
}

func newKeysNew(f *flags) *cobra.Command {
	var r admin.CreateKeyRequest
	var passwordFile, importFile string
	cmd := &cobra.Command{
		Use:     "new",
		Short:   "Make a key in a signer plugin, or bring in an EIP-2335 keystore",
		Long:    "Make a key in a signer plugin and print its public key and, for an approval key, its proof of possession: what a\nchain spec's authority entry holds.",
		Example: "  alys keys new --purpose approval\n  alys keys new --purpose approval --import keystore.json --password-file pw.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if importFile != "" {
				raw, err := os.ReadFile(importFile)
				if err != nil {
					return fmt.Errorf("read keystore: %w", err)
				}
				r.Import = raw
			}
			if passwordFile != "" || importFile != "" {
				password, err := readPassword(cmd, passwordFile)
				if err != nil {
					return err
				}
				r.Password = password
			}
			key, err := f.createKey(cmd, r)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), key)
			}
			return printKeys(cmd.OutOrStdout(), []admin.KeyStatus{key})
		},
	}
	cmd.Flags().StringVar(&r.Plugin, "plugin", "", "the signer's label in alys.hcl (default: the only signer)")
	cmd.Flags().StringVar(&r.Purpose, "purpose", "approval", "approval (BLS12-381) or bitcoin (secp256k1)")
	cmd.Flags().StringVar(&r.Label, "label", "", "a name for people")
	cmd.Flags().StringVar(&importFile, "import", "", "an EIP-2335 keystore to bring in")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "the keystore's password (default: the signer's own; an import asks)")
	return cmd
}

func (f *flags) createKey(cmd *cobra.Command, r admin.CreateKeyRequest) (admin.KeyStatus, error) {
	if c, err := f.client(); err == nil {
		key, err := c.CreateKey(cmd.Context(), r)
		if !errors.Is(err, admin.ErrNoNode) {
			return key, err
		}
	}
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return admin.KeyStatus{}, err
	}
	return node.CreateKeyOffline(cmd.Context(), c, r)
}

func newKeysList(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the keys that the signers hold",
		Example: "  alys keys list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := f.listKeys(cmd)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), keys)
			}
			return printKeys(cmd.OutOrStdout(), keys)
		},
	}
}

func (f *flags) listKeys(cmd *cobra.Command) ([]admin.KeyStatus, error) {
	if c, err := f.client(); err == nil {
		s, err := c.Status(cmd.Context())
		if !errors.Is(err, admin.ErrNoNode) {
			return s.Keys, err
		}
	}
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return node.KeysOffline(cmd.Context(), c)
}

func newKeysUnlock(f *flags) *cobra.Command {
	var r admin.UnlockRequest
	var passwordFile string
	cmd := &cobra.Command{
		Use:     "unlock",
		Short:   "Open the sealed keys of a running node's signer",
		Example: "  alys keys unlock --plugin local",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			if r.Password, err = readPassword(cmd, passwordFile); err != nil {
				return err
			}
			defer clear(r.Password)
			if err := c.Unlock(cmd.Context(), r); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "unlocked")
			return err
		},
	}
	cmd.Flags().StringVar(&r.Plugin, "plugin", "", "the signer's label in alys.hcl (default: the one that is locked)")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "read the password from this file instead of asking")
	return cmd
}

// readPassword reads a password from a file, or asks for it without showing it. One newline at the end is not part of it.
func readPassword(cmd *cobra.Command, file string) ([]byte, error) {
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
		return []byte(strings.TrimRight(string(raw), "\r\n")), nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errors.New("nobody is there to type a password: use --password-file")
	}
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), "Password: ")
	password, err := term.ReadPassword(int(in.Fd()))
	_, _ = fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	return password, nil
}

func printKeys(w io.Writer, keys []admin.KeyStatus) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PLUGIN\tPURPOSE\tSTATE\tLABEL\tKEY")
	for _, k := range keys {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.Plugin, k.Purpose, k.State, k.Label, k.ID)
		if k.Possession != "" {
			_, _ = fmt.Fprintf(t, "\t\t\t\tpossession 0x%s\n", k.Possession)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print keys: %w", err)
	}
	return nil
}
