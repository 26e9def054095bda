package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

func newKeysExport(f *flags) *cobra.Command {
	var r admin.ExportKeyRequest
	var out, passwordFile, unlockFile string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a sealed copy of a key",
		Long: `Write a copy of a key as an EIP-2335 keystore (PBKDF2), sealed under a password that is asked for twice. The file is new,
and only you may read it. The key stays where it is. A signer may refuse: signer "local" does with allow_export = false,
and a key that was born in an HSM never leaves it.`,
		Example: "  alys keys export --key bls:0x97f1d3… --out backup.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := isFree(out); err != nil {
				return err
			}
			var err error
			if r.Password, err = readNewPassword(cmd, "Password of the copy", passwordFile); err != nil {
				return err
			}
			defer clear(r.Password)
			unlock := func() ([]byte, error) { return readPassword(cmd, "The signer is locked. Its password", unlockFile) }
			copied, err := f.exportKey(cmd, r, unlock)
			if err != nil {
				return err
			}
			if err := checkCopy(copied.Keystore, r); err != nil {
				return fmt.Errorf("the signer's copy is not usable, and was not written: %w", err)
			}
			if err := writeSecretFile(out, copied.Keystore); err != nil {
				return fmt.Errorf("write key: %w", err)
			}
			warnOfTwins(cmd.ErrOrStderr())
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"key": r.Key, "file": out})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s holds %s, sealed under the new password\n", out, r.Key)
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&r.Plugin, "plugin", "", "the signer's label in alys.hcl (default: the one that holds the key)")
	fs.StringVar(&r.Key, "key", "", "the key, as alys keys list shows it")
	fs.StringVar(&out, "out", "", "the file to write")
	fs.StringVar(&passwordFile, "password-file", "", "seal the copy under this password (default: it is asked for)")
	fs.StringVar(&unlockFile, "unlock-password-file", "", "the signer's own password, where it is locked and no node runs (default: it is asked for)")
	for _, name := range []string{"key", "out"} {
		_ = cmd.MarkFlagRequired(name) // it fails for a flag that there is not
	}
	return cmd
}

// exportKey asks the running node, or a signer that is started for the moment.
func (f *flags) exportKey(cmd *cobra.Command, r admin.ExportKeyRequest, unlock func() ([]byte, error)) (admin.ExportKeyResponse, error) {
	if c, err := f.client(); err == nil {
		copied, err := c.ExportKey(cmd.Context(), r)
		if !errors.Is(err, admin.ErrNoNode) {
			return copied, err
		}
	}
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return admin.ExportKeyResponse{}, err
	}
	return node.ExportKeyOffline(cmd.Context(), c, r, unlock)
}

// checkCopy trusts no signer with a backup: it must be a keystore that the password opens, with the secret of this key in it.
func checkCopy(raw []byte, r admin.ExportKeyRequest) error {
	ks, err := keystore.Parse(raw)
	if err != nil {
		return err
	}
	if ks.ID() != signer.KeyID(r.Key) {
		return fmt.Errorf("it is of %s", ks.ID())
	}
	_ = keystore.Harden() // a backup that nobody opened is worth less than one opened on a system that cannot
	secret, err := ks.Open(r.Password)
	if err != nil {
		return err
	}
	secret.Destroy()
	return nil
}
