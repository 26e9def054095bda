package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/recovery"
	"github.com/alys-node/alys/sdk/signer"
)

// derivation is how a key is made of a recovery phrase.
type derivation struct {
	ask            bool
	file           string
	passphraseFile string
	index          uint32
	path           string
}

func newKeysNew(f *flags) *cobra.Command {
	var r admin.CreateKeyRequest
	var d derivation
	var passwordFile string
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a key in a signer plugin, random or from a recovery phrase",
		Long: `Make a key in a signer plugin and print its public key and, for an approval key, its proof of possession: what a chain
spec's authority entry holds. Without more the signer makes a random key, which then exists there only.

With --mnemonic or --mnemonic-file the key is derived from a recovery phrase (BIP-39, English), so that the phrase brings
it back: an approval key by EIP-2333 at m/12381/3600/INDEX/0/0 (EIP-2334), a Bitcoin key by BIP-32 at m/87'/0'/INDEX'/0/0
(BIP-87, multisig), on every Bitcoin network. It is derived in this process; the node and the signer see this one key,
sealed under a password that is used once, and never the phrase. A signer whose keys are born in an HSM refuses it.`,
		Example: "  alys keys new --purpose approval\n  alys keys new --purpose bitcoin --mnemonic --index 1\n  alys keys new --mnemonic-file phrase.txt --path m/12381/3600/0/0/0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if passwordFile != "" {
				password, err := readPassword(cmd, "Password", passwordFile)
				if err != nil {
					return err
				}
				defer clear(password)
				r.Password = password
			}
			derived, err := d.into(cmd, &r)
			if err != nil {
				return err
			}
			key, err := f.createKey(cmd, r)
			if err != nil {
				return err
			}
			if derived {
				warnOfTwins(cmd.ErrOrStderr())
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), key)
			}
			return printKeys(cmd.OutOrStdout(), []admin.KeyStatus{key})
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&r.Plugin, "plugin", "", "the signer's label in alys.hcl (default: the only signer)")
	fs.StringVar(&r.Purpose, "purpose", "approval", "approval (BLS12-381) or bitcoin (secp256k1)")
	fs.StringVar(&r.Label, "label", "", "a name for people")
	fs.StringVar(&passwordFile, "password-file", "", "seal the key under this password (default: the signer's own)")
	fs.BoolVar(&d.ask, "mnemonic", false, "derive the key from a recovery phrase, which is asked for and not shown")
	fs.StringVar(&d.file, "mnemonic-file", "", "derive the key from the recovery phrase in this file")
	fs.StringVar(&d.passphraseFile, "mnemonic-passphrase-file", "", "the phrase's passphrase, which some call the 25th word")
	fs.Uint32Var(&d.index, "index", 0, "which key of the phrase: the INDEX of the path")
	fs.StringVar(&d.path, "path", "", "the whole path of the key instead of an index")
	cmd.MarkFlagsMutuallyExclusive("mnemonic", "mnemonic-file")
	cmd.MarkFlagsMutuallyExclusive("index", "path")
	return cmd
}

// into derives a key and puts it into the request. It reports whether a phrase was named at all.
func (d derivation) into(cmd *cobra.Command, r *admin.CreateKeyRequest) (bool, error) {
	if !d.ask && d.file == "" {
		for _, name := range []string{"mnemonic-passphrase-file", "index", "path"} {
			if cmd.Flags().Changed(name) {
				return false, fmt.Errorf("--%s is of a key that is derived: add --mnemonic or --mnemonic-file", name)
			}
		}
		return false, nil
	}
	path, err := d.where(signer.Purpose(r.Purpose))
	if err != nil {
		return true, err
	}
	_ = keystore.Harden() // a phrase is not worth less on a system that cannot
	seed, err := d.seed(cmd)
	if err != nil {
		return true, err
	}
	defer seed.Destroy()
	secret, err := recovery.Derive(seed, path)
	if err != nil {
		return true, err
	}
	defer secret.Destroy()
	return true, handOver(r, secret, path.String())
}

func (d derivation) where(purpose signer.Purpose) (recovery.Path, error) {
	if d.path != "" {
		return recovery.ParsePath(purpose, d.path)
	}
	return recovery.DefaultPath(purpose, d.index)
}

func (d derivation) seed(cmd *cobra.Command) (*keystore.Locked, error) {
	var text, passphrase []byte
	var err error
	if d.file != "" {
		text, err = readSecretFile("recovery phrase", d.file, recovery.MaxPhrase)
	} else if text, err = readHidden(cmd, "Recovery phrase"); errors.Is(err, errNobody) {
		err = errors.New("nobody is there to type a recovery phrase: use --mnemonic-file")
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	phrase, err := recovery.ParsePhrase(text)
	if err != nil {
		return nil, err
	}
	defer phrase.Destroy()
	if d.passphraseFile != "" {
		if passphrase, err = readSecretFile("passphrase", d.passphraseFile, recovery.MaxPhrase); err != nil {
			return nil, err
		}
		defer clear(passphrase)
	}
	return phrase.Seed(bytes.TrimRight(passphrase, "\r\n"))
}

func newKeysMnemonic(f *flags) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "mnemonic",
		Short: "Make a recovery phrase of 24 words and show it once",
		Long: `Make a recovery phrase of 24 random words (BIP-39, English) for alys keys new --mnemonic. It is shown on the terminal and
kept nowhere: write it on paper. Into a pipe or a log it goes only with --json; --out writes it to a new file that only
you may read.`,
		Example: "  alys keys mnemonic\n  alys keys mnemonic --out phrase.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = keystore.Harden()
			phrase, err := recovery.NewPhrase()
			if err != nil {
				return err
			}
			defer phrase.Destroy()
			return phrase.Use(func(words []byte) error { return f.showPhrase(cmd, words, out) })
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the phrase to this new file instead of showing it")
	return cmd
}

func (f *flags) showPhrase(cmd *cobra.Command, words []byte, out string) error {
	if out != "" {
		line := append(append([]byte{}, words...), '\n')
		defer clear(line)
		if err := writeSecretFile(out, line); err != nil {
			return fmt.Errorf("write recovery phrase: %w", err)
		}
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s holds a new recovery phrase: who reads it has every key that is made of it.\n", out)
		return err
	}
	w := cmd.OutOrStdout()
	if f.json {
		return printJSON(w, map[string]string{"mnemonic": string(words)})
	}
	if file, ok := w.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return errors.New("standard output is no terminal, and a recovery phrase does not belong in a log: use --out FILE, or --json if you mean it")
	}
	_, err := fmt.Fprintf(w, "\n  %s\n\nWrite these words on paper, in this order. They are shown this once, and bring back every key that is made of them.\n", words)
	return err
}
