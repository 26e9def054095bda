package engineapi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrSecret means that the file of the shared secret cannot be used.
var ErrSecret = errors.New("JWT secret cannot be used")

// Secret is what both sides of the authenticated port know. It is never shown.
type Secret [32]byte

// String hides the secret.
func (Secret) String() string { return "(hidden)" }

// GoString hides the secret.
func (Secret) GoString() string { return "(hidden)" }

// maxSecretFile bounds what is read of a secret's file, in bytes: 0x, 64 digits and some white space.
const maxSecretFile = 128

// ReadSecret reads a file of 64 hex digits, with or without 0x, as execution clients write it. It refuses, with
// ErrSecret, a file that others than its owner and group may read.
func ReadSecret(path string) (Secret, error) {
	var s Secret
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrSecret, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return s, fmt.Errorf("%w: %w", ErrSecret, err)
	case !info.Mode().IsRegular():
		return s, fmt.Errorf("%w: %s is no file", ErrSecret, path)
	case info.Mode().Perm()&0o007 != 0:
		return s, fmt.Errorf("%w: everybody on this machine may open %s (mode %04o): chmod o= %s", ErrSecret, path, info.Mode().Perm(), path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return s, fmt.Errorf("%w: read %s: %w", ErrSecret, path, err)
	}
	digits := strings.TrimPrefix(strings.TrimSpace(string(raw)), "0x")
	if len(raw) > maxSecretFile || len(digits) != hex.EncodedLen(len(s)) {
		return s, fmt.Errorf("%w: %s does not hold 64 hex digits", ErrSecret, path)
	}
	if _, err := hex.Decode(s[:], []byte(digits)); err != nil { // the error would show a digit
		return Secret{}, fmt.Errorf("%w: %s does not hold 64 hex digits", ErrSecret, path)
	}
	return s, nil
}
