package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// bench is what `alys bench sign` measures with: keys that everybody knows, under a chain that does not exist, with a
// guard of their own. They take the same way through the signer as real ones.
type bench struct {
	genesis chain.Hash
	guard   *watermark.Guard
	keys    map[signer.KeyID]*held
}

// openBench makes the bench keys. Their guard starts empty, unlike a real one: with a secret that everybody knows there is
// nothing to protect, and a long one would cost every start.
func openBench(h lifecycle.Host) (*bench, error) {
	dir := filepath.Join(guardDir(h), "bench")
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("remove the last bench: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make bench folder: %w", err)
	}
	b := &bench{genesis: signer.BenchGenesis(h.Genesis), keys: map[signer.KeyID]*held{}}
	var err error
	if b.guard, err = watermark.Open(dir, b.genesis); err != nil {
		return nil, fmt.Errorf("open bench guard: %w", err)
	}
	var floors []signer.Floor // as a real key's, which a newcomer is given before its first signature
	for i := range uint8(signer.BenchKeys) {
		id, key, err := benchKey(h.Genesis, i)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bench key %d: %w", i, err), b.close())
		}
		b.keys[id] = key
		floors = append(floors, signer.Floor{Key: id, Slot: 1})
	}
	if err := b.guard.Raise(floors); err != nil {
		return nil, errors.Join(fmt.Errorf("start bench guard: %w", err), b.close())
	}
	return b, nil
}

func benchKey(genesis chain.Hash, i uint8) (signer.KeyID, *held, error) {
	secret := signer.BenchSecret(genesis, i)
	key, err := bls.ParseSecretKey(secret)
	if err != nil {
		return "", nil, err
	}
	locked, err := keystore.NewLocked(secret)
	return signer.BLSKey(key.Public()), &held{secret: locked}, err
}

// close is for a bench that is nil, too.
func (b *bench) close() error {
	if b == nil {
		return nil
	}
	for _, h := range b.keys {
		h.secret.Destroy()
	}
	return b.guard.Close()
}

// approver is what an approval key signs with: the chain that it signs for and the guard that it answers to.
type approver struct {
	key     *held
	genesis chain.Hash
	guard   *watermark.Guard
}

// approver finds an approval key among the real ones and, where the signer lets itself be measured, the bench keys. The
// real ones come first: a bench key that somebody brought in is a real one.
func (s *Signer) approver(id signer.KeyID) (approver, error) {
	h, err := s.keys.find(id, signer.PurposeApproval)
	if errors.Is(err, signer.ErrUnknownKey) && s.bench != nil {
		if h, ok := s.bench.keys[id]; ok {
			return approver{h, s.bench.genesis, s.bench.guard}, nil
		}
	}
	return approver{h, s.genesis, s.guard}, err
}
