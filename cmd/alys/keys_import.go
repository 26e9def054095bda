package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/recovery"
	"github.com/alys-node/alys/sdk/signer"
)

func newKeysImport(f *flags) *cobra.Command {
	var r admin.CreateKeyRequest
	var passwordFile, sealFile string
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Bring keys into a signer plugin",
		Long: `Bring keys into a signer plugin. A file is a keystore (EIP-2335, with PBKDF2 or scrypt) of any tool, or one of alys keys
export; of a folder every keystore in it (*.json) is taken. A keystore is opened in the signer, with the password that is
asked for, and sealed again under the signer's own.

A file may also hold one bare secret key: a Bitcoin key in WIF, as wallets write it, or a key in hexadecimal with
--purpose. It is sealed in this process before it goes to the signer. Destroy the file then. There is no export in such a form.`,
		Example: "  alys keys import keystore.json\n  alys keys import --password-file pw.txt validator_keys\n  alys keys import --purpose bitcoin key.wif",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := keyFiles(args)
			if err != nil {
				return err
			}
			if len(files) > 1 && r.Label != "" {
				return errors.New("--label is for one key: bring several in without it")
			}
			if sealFile != "" {
				if r.Password, err = readPassword(cmd, "Password", sealFile); err != nil {
					return err
				}
				defer clear(r.Password)
			}
			in := importer{f: f, cmd: cmd, request: r, passwordFile: passwordFile}
			defer func() { clear(in.password) }()
			return in.all(files)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&r.Plugin, "plugin", "", "the signer's label in alys.hcl (default: the only signer)")
	fs.StringVar(&r.Purpose, "purpose", "", "approval (BLS12-381) or bitcoin (secp256k1); a keystore and a WIF say it themselves")
	fs.StringVar(&r.Label, "label", "", "a name for people (default: the keystore's description)")
	fs.StringVar(&passwordFile, "password-file", "", "the password of the keystores (default: it is asked for)")
	fs.StringVar(&sealFile, "seal-password-file", "", "seal the keys under this password (default: the signer's own)")
	return cmd
}

// keyFiles are the files that are named, and those of the folders that are.
func keyFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		st, err := os.Stat(arg)
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		if !st.IsDir() {
			files = append(files, arg)
			continue
		}
		names, err := os.ReadDir(arg)
		if err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		before := len(files)
		for _, n := range names {
			if path := filepath.Join(arg, n.Name()); !n.IsDir() && !strings.HasPrefix(n.Name(), ".") && filepath.Ext(path) == ".json" {
				files = append(files, path)
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s holds no keystores (*.json)", arg)
		}
	}
	return files, nil
}

// importer brings in one file after the other.
type importer struct {
	f            *flags
	cmd          *cobra.Command
	request      admin.CreateKeyRequest // what is the same for every file
	passwordFile string
	password     []byte // of the keystores, once it is known
}

// all brings in every file that it can, and tells which it could not.
func (in *importer) all(files []string) error {
	keys := []admin.KeyStatus{}
	var failed []error
	for _, file := range files {
		key, err := in.one(file)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", file, err))
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) > 0 {
		warnOfTwins(in.cmd.ErrOrStderr())
		if in.f.json {
			failed = append(failed, printJSON(in.cmd.OutOrStdout(), keys))
		} else {
			failed = append(failed, printKeys(in.cmd.OutOrStdout(), keys))
		}
	}
	return errors.Join(failed...)
}

func (in *importer) one(file string) (admin.KeyStatus, error) {
	raw, err := readSecretFile("key file", file, keystore.MaxSize)
	if err != nil {
		return admin.KeyStatus{}, err
	}
	defer clear(raw)
	r := in.request
	if trimmed := bytes.TrimSpace(raw); json.Valid(trimmed) && len(trimmed) > 0 && trimmed[0] == '{' {
		err = in.keystore(&r, raw)
	} else {
		err = in.bare(&r, raw)
	}
	if err != nil {
		return admin.KeyStatus{}, err
	}
	return in.f.createKey(in.cmd, r)
}

// keystore leaves the keystore sealed: the signer opens it.
func (in *importer) keystore(r *admin.CreateKeyRequest, raw []byte) error {
	ks, err := keystore.Parse(raw)
	if err != nil {
		return err
	}
	if purpose := string(ks.Scheme().Purpose()); r.Purpose == "" {
		r.Purpose = purpose
	} else if r.Purpose != purpose {
		return fmt.Errorf("it is a keystore of %s, for %s and not for %q", ks.Scheme(), purpose, r.Purpose)
	}
	if in.password == nil {
		if in.password, err = readPassword(in.cmd, "Password of the keystores", in.passwordFile); err != nil {
			return err
		}
	}
	r.Import, r.ImportPassword = raw, in.password
	return nil
}

// bare seals a key that was kept without protection.
func (in *importer) bare(r *admin.CreateKeyRequest, raw []byte) error {
	_ = keystore.Harden()
	b, err := recovery.ParseBare(raw)
	if err != nil {
		return fmt.Errorf("it is no EIP-2335 keystore either: %w", err)
	}
	defer b.Secret.Destroy()
	switch {
	case b.Scheme != "" && r.Purpose == "":
		r.Purpose = string(b.Scheme.Purpose())
	case b.Scheme != "" && r.Purpose != string(b.Scheme.Purpose()):
		return fmt.Errorf("a WIF is of a key for %s and not for %q", b.Scheme.Purpose(), r.Purpose)
	case r.Purpose == "":
		return fmt.Errorf("hexadecimal does not say of which key it is: add --purpose %s or --purpose %s", signer.PurposeApproval, signer.PurposeBitcoin)
	}
	return handOver(r, b.Secret, "")
}
