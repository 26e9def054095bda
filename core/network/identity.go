package network

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/core/internal/durable"
)

// ErrIdentity means that the file of the peer identity cannot be used.
var ErrIdentity = errors.New("peer identity cannot be used")

// maxIdentityBytes bounds what is read of an identity file.
const maxIdentityBytes = 4 << 10

// Identity is the key that a peer is known by, for life: addresses change, it does not.
type Identity struct {
	key crypto.PrivKey
	id  peer.ID
}

// ID is the peer id in its usual text form.
func (i Identity) ID() string { return i.id.String() }

// LoadIdentity reads the identity from a file, and makes both when the file is not there. The file holds the libp2p
// encoding of an Ed25519 key in base64, and nobody but its owner may read or write it: ErrIdentity otherwise.
func LoadIdentity(path string) (Identity, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeIdentity(path)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return Identity{}, fmt.Errorf("%w: %s has mode %s and must be a file that only its owner can read: run chmod 600 %s",
			ErrIdentity, path, mode, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxIdentityBytes))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: read %s: %w", ErrIdentity, path, err)
	}
	i, err := decodeIdentity(raw)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %s does not hold a key: restore it from a backup, or remove it to become another peer",
			ErrIdentity, path) // the cause may quote the key
	}
	return i, nil
}

func decodeIdentity(raw []byte) (Identity, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil {
		return Identity{}, err
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return Identity{}, err
	}
	return identityOf(key)
}

func identityOf(key crypto.PrivKey) (Identity, error) {
	id, err := peer.IDFromPrivateKey(key)
	return Identity{key, id}, err
}

func makeIdentity(path string) (Identity, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("make peer identity: %w", err)
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return Identity{}, fmt.Errorf("make peer identity: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(b) + "\n"
	if err := writeNew(path, []byte(text)); err != nil {
		return Identity{}, fmt.Errorf("%w: make %s: %w", ErrIdentity, path, err)
	}
	return identityOf(key)
}

// writeNew makes a file that must not be there yet, whole and durable or not at all.
func writeNew(path string, content []byte) error {
	tmp, err := writeTemporary(path, content)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) //nolint:errcheck // gone after a rename, and harmless otherwise
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// replace puts content in place of a file, whole and durable or not at all.
func replace(path string, content []byte) error {
	tmp, err := writeTemporary(path, content)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return durable.SyncDir(filepath.Dir(path))
}

// writeTemporary writes and syncs a file beside path that only its owner can read.
func writeTemporary(path string, content []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
