package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/signer"
)

// readPassword reads a password from a file, or asks for it without showing it. One newline at the end is not part of it.
func readPassword(cmd *cobra.Command, what, file string) ([]byte, error) {
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
		return []byte(strings.TrimRight(string(raw), "\r\n")), nil
	}
	password, err := readHidden(cmd, what)
	if errors.Is(err, errNobody) {
		return nil, errors.New("nobody is there to type a password: use --password-file")
	}
	return password, err
}

// readNewPassword is readPassword for one that will be needed again: it is asked for twice.
func readNewPassword(cmd *cobra.Command, what, file string) ([]byte, error) {
	first, err := readPassword(cmd, what, file)
	if err != nil || file != "" {
		return first, err
	}
	second, err := readHidden(cmd, what+" again")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	if !bytes.Equal(first, second) {
		clear(first)
		return nil, errors.New("the two passwords differ: nothing was done")
	}
	return first, nil
}

// errNobody means that standard input is no terminal.
var errNobody = errors.New("nobody is there to type")

// readHidden asks on the terminal, and does not show what is typed.
func readHidden(cmd *cobra.Command, what string) ([]byte, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errNobody
	}
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), what+": ")
	text, err := term.ReadPassword(int(in.Fd()))
	_, _ = fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", strings.ToLower(what), err)
	}
	return text, nil
}

// readSecretFile reads what nobody else may read: at most limit bytes of a file that is closed to other users. A pipe
// (<(…) in a shell) is private by nature.
func readSecretFile(what, path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if perm := st.Mode().Perm(); st.Mode().IsRegular() && perm&0o077 != 0 {
		return nil, fmt.Errorf("%s %s is open to other users (mode %04o): close it with chmod 600 %s, and think about who may have read it", what, path, perm, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if int64(len(raw)) > limit {
		clear(raw)
		return nil, fmt.Errorf("%s %s is longer than %d bytes: it is something else", what, path, limit)
	}
	return raw, nil
}

// writeSecretFile makes a file of mode 0600 and returns when it is durable. It replaces nothing.
func writeSecretFile(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten: name another file with --out", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path)) // half a secret is of no use, nor is one that a power cut takes away
	}
	return nil
}

// syncDir makes a new name inside dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// isFree says before anything is asked that a file cannot be written there.
func isFree(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists and is not overwritten: name another file with --out", path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// handOver puts a secret key into a request. It leaves this process sealed only, under a password that is used once and
// that the signer does not keep.
func handOver(r *admin.CreateKeyRequest, secret *keystore.Locked, path string) error {
	scheme, err := keystore.SchemeOf(signer.Purpose(r.Purpose))
	if err != nil {
		return err
	}
	r.ImportPassword = []byte(rand.Text())
	sealed, err := keystore.Seal(keystore.SealRequest{Scheme: scheme, Secret: secret, Password: r.ImportPassword, Label: r.Label, Path: path})
	if err != nil {
		return err
	}
	r.Import, err = sealed.Encode()
	return err
}

// warnOfTwins says what a second holder of a key must never do.
func warnOfTwins(w io.Writer) {
	_, _ = fmt.Fprint(w, `Warning: two nodes that sign with one key sign two blocks for one slot, which is an offence that cannot be undone.
  Before this key is used on another node: stop the old one for good, run alys guard export there and alys guard import
  on the new one.
`)
}
