package signertest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// Memory is a signer whose keys come from seeds and whose guard is in memory. It answers deterministically, is ready
// without Configure, and passes Run. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex // guards the rest
	genesis chain.Hash
	order   []signer.KeyID
	keys    map[signer.KeyID]*heldKey
	removed map[signer.KeyID]bool // for good
	events  []signer.Event
	changed chan struct{}         // closed and replaced when events grew
	spent   map[string]chain.Hash // the payment that an outpoint is signed for

	proveByECDSA bool
}

// heldKey is one key with its guard.
type heldKey struct {
	info    signer.Key
	bls     *bls.SecretKey    // an approval key
	bitcoin *btcec.PrivateKey // a Bitcoin key
	last    *approved
	floor   signer.Floor
}

// approved is the last approval of a key.
type approved struct {
	header    chain.Header
	signature chain.BLSSignature
}

// NewMemory makes a signer for the chain with this genesis block hash. Each seed gives one approval key and one Bitcoin
// key, in this order.
func NewMemory(genesis chain.Hash, seeds ...string) *Memory {
	m := &Memory{
		genesis: genesis, keys: make(map[signer.KeyID]*heldKey), changed: make(chan struct{}),
		spent: make(map[string]chain.Hash), removed: make(map[signer.KeyID]bool),
	}
	for _, seed := range seeds {
		m.AddSeed(seed)
	}
	return m
}

// ProveByECDSA lets Bitcoin keys answer challenges by ECDSA from now on, as an HSM without BIP-340 does.
func (m *Memory) ProveByECDSA() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proveByECDSA = true
}

// AddSeed adds the two keys of a seed; a seed that is there already changes nothing.
func (m *Memory) AddSeed(seed string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sk := BLSSecret(seed)
	possession := sk.Possession()
	m.add(&heldKey{bls: sk, info: signer.Key{
		ID: signer.BLSKey(sk.Public()), Purpose: signer.PurposeApproval, Label: seed, Possession: possession[:],
	}})
	m.add(&heldKey{bitcoin: BitcoinSecret(seed), info: signer.Key{
		ID: signer.BitcoinKey(BitcoinPublic(seed)), Purpose: signer.PurposeBitcoin, Label: seed,
	}})
}

func (m *Memory) add(k *heldKey) {
	if _, held := m.keys[k.info.ID]; held || m.removed[k.info.ID] {
		return
	}
	k.floor.Key = k.info.ID
	m.keys[k.info.ID] = k
	m.order = append(m.order, k.info.ID)
}

// Keys implements signer.Signer.
func (m *Memory) Keys(ctx context.Context) ([]signer.Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]signer.Key, 0, len(m.order))
	for _, id := range m.order {
		k := m.keys[id].info
		k.Possession = slices.Clone(k.Possession)
		out = append(out, k)
	}
	return out, nil
}

// Approve implements signer.Signer.
func (m *Memory) Approve(ctx context.Context, a signer.Approval) (chain.BLSSignature, error) {
	if err := ctx.Err(); err != nil {
		return chain.BLSSignature{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, err := m.approvalKey(a.Key, a.Header.Genesis)
	if err != nil {
		return chain.BLSSignature{}, err
	}
	if k.last != nil && k.last.header == a.Header {
		return k.last.signature, nil
	}
	if err := k.allows(a.Header); err != nil {
		return chain.BLSSignature{}, err
	}
	k.last = &approved{header: a.Header, signature: k.bls.Sign(signer.ApprovalRoot(a.Header))}
	return k.last.signature, nil
}

// allows is the guard: increasing slots, never a lower height, nothing under the floor.
func (k *heldKey) allows(h chain.Header) error {
	switch last := k.last; {
	case h.Version != chain.HeaderVersion:
		return fmt.Errorf("%w: header version %d", signer.ErrRefused, h.Version)
	case last != nil && h.Slot <= last.header.Slot:
		return fmt.Errorf("%w: slot %d, approved slot %d before", signer.ErrRefused, h.Slot, last.header.Slot)
	case last != nil && h.Height < last.header.Height:
		return fmt.Errorf("%w: height %d, approved height %d before", signer.ErrRefused, h.Height, last.header.Height)
	case h.Slot <= k.floor.Slot:
		return fmt.Errorf("%w: slot %d is not above the floor %d", signer.ErrRefused, h.Slot, k.floor.Slot)
	case h.Height < k.floor.Height:
		return fmt.Errorf("%w: height %d is below the floor %d", signer.ErrRefused, h.Height, k.floor.Height)
	}
	return nil
}

// approvalKey finds a BLS key and refuses another chain.
func (m *Memory) approvalKey(id signer.KeyID, genesis chain.Hash) (*heldKey, error) {
	k, held := m.keys[id]
	if !held || k.bls == nil {
		return nil, fmt.Errorf("%w: %s", signer.ErrUnknownKey, id)
	}
	if genesis != m.genesis {
		return nil, fmt.Errorf("%w: genesis %s, this chain's is %s", signer.ErrRefused, genesis, m.genesis)
	}
	return k, nil
}

// Prove implements signer.Signer.
func (m *Memory) Prove(ctx context.Context, c signer.Challenge) (signer.Proof, error) {
	if err := ctx.Err(); err != nil {
		return signer.Proof{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, held := m.keys[c.Key]
	if !held {
		return signer.Proof{}, fmt.Errorf("%w: %s", signer.ErrUnknownKey, c.Key)
	}
	if c.Genesis != m.genesis {
		return signer.Proof{}, fmt.Errorf("%w: genesis %s, this chain's is %s", signer.ErrRefused, c.Genesis, m.genesis)
	}
	root := signer.ChallengeRoot(c)
	if k.bls != nil {
		sig := k.bls.Sign(root)
		return signer.Proof{Scheme: signer.ProofBLS, Signature: sig[:]}, nil
	}
	if m.proveByECDSA {
		return signer.Proof{Scheme: signer.ProofECDSA, Signature: ecdsa.Sign(k.bitcoin, root[:]).Serialize()}, nil
	}
	sig, err := schnorr.Sign(k.bitcoin, root[:])
	if err != nil {
		return signer.Proof{}, fmt.Errorf("sign challenge: %w", err)
	}
	return signer.Proof{Scheme: signer.ProofBIP340, Signature: sig.Serialize()}, nil
}

// ApproveBatch implements signer.SignerWithBatch.
func (m *Memory) ApproveBatch(ctx context.Context, as []signer.Approval) ([]signer.ApprovalResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make([]signer.ApprovalResult, len(as))
	for i, a := range as {
		out[i].Signature, out[i].Err = m.Approve(ctx, a)
	}
	return out, nil
}

// RaiseFloor implements signer.SignerWithFloor. A floor for a key that is not held is ignored.
func (m *Memory) RaiseFloor(ctx context.Context, floors []signer.Floor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range floors {
		if k, held := m.keys[f.Key]; held {
			k.floor.Slot = max(k.floor.Slot, f.Slot)
			k.floor.Height = max(k.floor.Height, f.Height)
		}
	}
	return nil
}

// SignUpdate implements signer.SignerWithUpdates.
func (m *Memory) SignUpdate(ctx context.Context, u signer.Update) (chain.BLSSignature, error) {
	if err := ctx.Err(); err != nil {
		return chain.BLSSignature{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, err := m.approvalKey(u.Key, u.Genesis)
	if err != nil {
		return chain.BLSSignature{}, err
	}
	return k.bls.Sign(signer.UpdateRoot(u)), nil
}
