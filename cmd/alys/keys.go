package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/node"
)

func newKeys(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, bring in, take out, list and unlock keys",
		Args:  noSubcommand, RunE: help,
		Example: "  alys keys new --purpose approval\n  alys keys list",
		Long: `Keys live in signer plugins: a BLS key approves blocks, a secp256k1 key signs Bitcoin payments. new, import, export and list
work with a running node, and without one too: the signer is then started for the moment. No secret is an argument, and
none is printed but by mnemonic, which is for that.`,
	}
	cmd.AddCommand(newKeysNew(f), newKeysMnemonic(f), newKeysImport(f), newKeysExport(f), newKeysList(f), newKeysUnlock(f))
	return cmd
}

// createKey asks the running node, or a signer that is started for the moment.
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
		Use:   "list",
		Short: "List the keys that the signers hold",
		Long: `List the keys that the signers hold: plugin, purpose, state, label and public key, with the proof of possession that a
chain spec's authority entry has. IN SET says whether the chain's authority set or federation has the key at the node's
head: yes, no, coming (from a later height on), or ? where no node runs.`,
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
			if r.Password, err = readPassword(cmd, "Password", passwordFile); err != nil {
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

func printKeys(w io.Writer, keys []admin.KeyStatus) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PLUGIN\tPURPOSE\tSTATE\tIN SET\tLABEL\tKEY")
	for _, k := range keys {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Plugin, k.Purpose, k.State, inSet(k), k.Label, k.ID)
		if k.Possession != "" {
			_, _ = fmt.Fprintf(t, "\t\t\t\t\tpossession 0x%s\n", k.Possession)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print keys: %w", err)
	}
	return nil
}

// inSet says whether the chain counts on a key, as far as the node knows.
func inSet(k admin.KeyStatus) string {
	switch k.Set {
	case admin.KeyInSet:
		return "yes"
	case admin.KeyComing:
		return "coming"
	case admin.KeyNotInSet:
		return "no"
	}
	return "?"
}
