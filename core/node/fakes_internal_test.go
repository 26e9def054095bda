package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantIs wants an error of a kind, and no panic in the making of its text.
func wantIs(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
	if got != nil && slices.Contains([]string{"", "%!"}, got.Error()) {
		t.Errorf("the error says %q", got)
	}
}

// place is a route's target in the test's own process. While err is set nobody is there, as during a restart.
type place[C any] struct {
	id route.ID
	c  C

	mu  sync.Mutex
	err error // guarded by mu
}

func at[C any](plugin string, c C) *place[C] {
	return &place[C]{id: route.ID{Plugin: plugin, Generation: 1}, c: c}
}

func (p *place[C]) ID() route.ID { return p.id }

func (p *place[C]) Client() (C, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.c, p.err
}

func (p *place[C]) leave(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// alarms is a route.Observer that remembers alarms and comparisons.
type alarms struct {
	mu       sync.Mutex // guards all below
	raised   []route.Alarm
	compared []route.Comparison
}

func (*alarms) Called(route.Called)   {}
func (*alarms) Changed(route.Changed) {}

func (a *alarms) Compared(c route.Comparison) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.compared = append(a.compared, c)
}

func (a *alarms) Alarm(x route.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.raised = append(a.raised, x)
}

func (a *alarms) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.raised)
}

// devSigner signs with the development chain's keys and remembers what it signed. It has no guard of its own: what it is
// asked for twice, the host's guard let through twice.
type devSigner struct {
	*signertest.Memory
	authorities int

	mu     sync.Mutex
	signed map[signer.KeyID]map[chain.Slot]map[chain.Hash]bool // guarded by mu
}

func newDevSigner(genesis chain.Hash, authorities int) *devSigner {
	return &devSigner{
		Memory: signertest.NewMemory(genesis), authorities: authorities, signed: map[signer.KeyID]map[chain.Slot]map[chain.Hash]bool{},
	}
}

func devKey(i int) *bls.SecretKey {
	k, err := bls.ParseSecretKey(spec.DevSecret(i))
	if err != nil {
		panic(err) // a constant of the spec
	}
	return k
}

func (s *devSigner) secret(id signer.KeyID) (*bls.SecretKey, error) {
	for i := range s.authorities {
		if k := devKey(i); signer.BLSKey(k.Public()) == id {
			return k, nil
		}
	}
	return nil, signer.ErrUnknownKey
}

// CreateKey implements signer.SignerWithKeyAdmin as a signer does whose keys are made elsewhere.
func (s *devSigner) CreateKey(context.Context, signer.NewKey) (signer.Key, error) {
	return signer.Key{}, lifecycle.ErrUnsupported
}

// ExportKey implements signer.SignerWithKeyAdmin as a signer does whose keys never leave it.
func (s *devSigner) ExportKey(context.Context, signer.KeyID, signer.Secret) ([]byte, error) {
	return nil, signer.ErrRefused
}

// Unlock implements signer.SignerWithKeyAdmin.
func (s *devSigner) Unlock(context.Context, signer.Secret) error { return lifecycle.ErrUnsupported }

// Keys implements signer.Signer.
func (s *devSigner) Keys(context.Context) ([]signer.Key, error) {
	var out []signer.Key
	for i := range s.authorities {
		k := devKey(i)
		possession := k.Possession()
		out = append(out, signer.Key{ID: signer.BLSKey(k.Public()), Purpose: signer.PurposeApproval, Possession: possession[:]})
	}
	return out, nil
}

// Approve implements signer.Signer.
func (s *devSigner) Approve(_ context.Context, a signer.Approval) (chain.BLSSignature, error) {
	k, err := s.secret(a.Key)
	if err != nil {
		return chain.BLSSignature{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := s.signed[a.Key]
	if slots == nil {
		slots = map[chain.Slot]map[chain.Hash]bool{}
		s.signed[a.Key] = slots
	}
	if slots[a.Header.Slot] == nil {
		slots[a.Header.Slot] = map[chain.Hash]bool{}
	}
	slots[a.Header.Slot][a.Header.Hash()] = true
	return k.Sign(signer.ApprovalRoot(a.Header)), nil
}

// Prove implements signer.Signer.
func (s *devSigner) Prove(_ context.Context, c signer.Challenge) (signer.Proof, error) {
	k, err := s.secret(c.Key)
	if err != nil {
		return signer.Proof{}, err
	}
	sig := k.Sign(signer.ChallengeRoot(c))
	return signer.Proof{Scheme: signer.ProofBLS, Signature: sig[:]}, nil
}

// signedTwice lists the slots in which a key signed two blocks.
func (s *devSigner) signedTwice() []chain.Slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []chain.Slot
	for _, slots := range s.signed {
		for slot, blocks := range slots {
			if len(blocks) > 1 {
				out = append(out, slot)
			}
		}
	}
	return out
}

// engines is a writer over one engine in the test's process, and where it is.
func engineRoute(t testing.TB, observer route.Observer, catchUp func(context.Context, route.ID, engine.Engine) error, es ...engine.Engine) (*route.Writer[engine.Engine], []*place[engine.Engine]) {
	t.Helper()
	r := route.New[engine.Engine](route.Options{Name: "engine", Observer: observer})
	t.Cleanup(func() { _ = r.Close() })
	var places []*place[engine.Engine]
	for i, e := range es {
		places = append(places, at[engine.Engine]("engine."+string(rune('a'+i)), e))
	}
	p := route.Positions[engine.Engine]{Primary: places[0]}
	if len(places) > 1 {
		p.Shadow = places[1]
	}
	must(t, r.Set(p))
	return route.NewWriter(r, route.WriterOptions[engine.Engine]{
		IsBehind: func(err error) bool { return errors.Is(err, engine.ErrSyncing) }, CatchUp: catchUp,
	}), places
}

func devEngine(t testing.TB) *enginetest.Memory {
	t.Helper()
	e, err := enginetest.NewMemory(spec.Dev().GenesisJSON())
	must(t, err)
	return e
}

// broken is a guard.Store whose writes fail while err is set.
type broken struct {
	guard.Store
	mu  sync.Mutex
	err error // guarded by mu
}

func (b *broken) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// CompareAndSwap implements guard.Store.
func (b *broken) CompareAndSwap(ctx context.Context, key guard.Key, old guard.Version, rec guard.Record) (guard.Version, error) {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return guard.Version{}, err
	}
	return b.Store.CompareAndSwap(ctx, key, old, rec)
}
