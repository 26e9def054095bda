package node

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
	"github.com/alys-node/alys/sdk/wire"
)

func newAdmitter(t *testing.T, self ...signer.KeyID) *admitter {
	t.Helper()
	g, err := guard.Open(t.Context(), guard.Options{
		Store: guard.NewMemoryStore(), Genesis: testGenesis, Now: time.Now, SlotAt: func(time.Time) chain.Slot { return 100 },
	})
	must(t, err)
	return &admitter{
		guard: g, genesis: testGenesis, self: func(context.Context) ([]signer.KeyID, error) { return self, nil },
		listed: func(ctx context.Context, p *process, c *wire.Client) ([]signer.Key, error) {
			return p.listKeys(ctx, c.Signer())
		},
	}
}

func newcomer() *process { return &process{id: swap.PluginID{Kind: lifecycle.Signer, Label: "new"}} }

// imposing lists keys that it does not have: it proves with others.
type imposing struct{ *signertest.Memory }

func (i imposing) Prove(_ context.Context, c signer.Challenge) (signer.Proof, error) {
	root := signer.ChallengeRoot(c)
	if _, err := c.Key.BLS(); err == nil {
		sig := signertest.BLSSecret("other").Sign(root)
		return signer.Proof{Scheme: signer.ProofBLS, Signature: sig[:]}, nil
	}
	sig, err := schnorr.Sign(signertest.BitcoinSecret("other"), root[:])
	if err != nil {
		return signer.Proof{}, err
	}
	return signer.Proof{Scheme: signer.ProofBIP340, Signature: sig.Serialize()}, nil
}

// replaying answers every challenge with the proof of one that it saw.
type replaying struct{ *signertest.Memory }

func (r replaying) Prove(ctx context.Context, c signer.Challenge) (signer.Proof, error) {
	return r.Memory.Prove(ctx, signer.Challenge{Key: c.Key, Genesis: c.Genesis})
}

// locked lists its keys and uses none.
type locked struct{ *signertest.Memory }

func (locked) Prove(context.Context, signer.Challenge) (signer.Proof, error) {
	return signer.Proof{}, signer.ErrLocked
}

func TestSignerIsAdmittedByWhatItProves(t *testing.T) {
	key := signer.BLSKey(signertest.BLSPublic("a"))
	bitcoin := signer.BitcoinKey(signertest.BitcoinPublic("a"))
	for _, test := range []struct {
		name   string
		signer lifecycle.Plugin
		self   []signer.KeyID
		want   error
	}{
		{"it holds the keys", signertest.NewMemory(testGenesis, "a", "b"), []signer.KeyID{key, bitcoin}, nil},
		{"nothing is signed with yet", signertest.NewMemory(testGenesis), nil, nil},
		{"it has no key", signertest.NewMemory(testGenesis), []signer.KeyID{key}, errKeyMissing},
		{"it has another key", signertest.NewMemory(testGenesis, "b"), []signer.KeyID{key}, errKeyMissing},
		{"it lists a key that it does not have", imposing{memory()}, []signer.KeyID{key}, errPossession},
		{"it lists a Bitcoin key that it does not have", imposing{memory()}, []signer.KeyID{bitcoin}, errPossession},
		{"it replays a proof", replaying{memory()}, []signer.KeyID{key}, errPossession},
		{"it is of another chain", signertest.NewMemory(chain.Hash{7}, "a"), []signer.KeyID{key}, signer.ErrRefused},
		{"it is locked", locked{memory()}, []signer.KeyID{key}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAdmitter(t, test.self...)
			c := plugintest.ServeWith(t, test.signer, plugintest.Options{Host: lifecycle.Host{Genesis: genesisOf(test.signer)}})
			wantIs(t, a.admitSigner(t.Context(), newcomer(), c, roleSigner, swap.Primary), test.want)
		})
	}
}

// bitcoinOnly lists no key that approves blocks.
type bitcoinOnly struct{ *signertest.Memory }

func (b bitcoinOnly) Keys(ctx context.Context) ([]signer.Key, error) {
	keys, err := b.Memory.Keys(ctx)
	return slices.DeleteFunc(keys, func(k signer.Key) bool { return k.Purpose != signer.PurposeBitcoin }), err
}

func TestNarrowedRoleNeedsTheKeysOfItsPurpose(t *testing.T) {
	approval := signer.BLSKey(signertest.BLSPublic("a"))
	bitcoin, other := signer.BitcoinKey(signertest.BitcoinPublic("a")), signer.BitcoinKey(signertest.BitcoinPublic("b"))
	for _, test := range []struct {
		role swap.Role
		self []signer.KeyID
		want error
	}{
		{roleBitcoin, []signer.KeyID{approval}, nil},
		{roleBitcoin, []signer.KeyID{approval, bitcoin}, nil},
		{roleBitcoin, []signer.KeyID{other}, errKeyMissing},
		{roleApproval, []signer.KeyID{approval}, errKeyMissing},
		{roleApproval, []signer.KeyID{other}, nil},
		{roleSigner, []signer.KeyID{approval}, errKeyMissing},
	} {
		a := newAdmitter(t, test.self...)
		c := plugintest.ServeWith(t, bitcoinOnly{memory()}, plugintest.Options{Host: lifecycle.Host{Genesis: testGenesis}})
		wantIs(t, a.admitSigner(t.Context(), newcomer(), c, test.role, swap.Primary), test.want)
	}
}

// genesisOf keeps a signer at the chain that it was made for.
func genesisOf(p lifecycle.Plugin) chain.Hash {
	if m, ok := p.(*signertest.Memory); ok {
		if _, err := m.Prove(context.Background(), signer.Challenge{Key: signer.BLSKey(signertest.BLSPublic("a")), Genesis: chain.Hash{7}}); err == nil {
			return chain.Hash{7}
		}
	}
	return testGenesis
}

func TestProofOfAnotherShapeProvesNothing(t *testing.T) {
	for _, id := range []signer.KeyID{signer.BLSKey(signertest.BLSPublic("a")), signer.BitcoinKey(signertest.BitcoinPublic("a")), "nothing"} {
		for _, scheme := range []signer.ProofScheme{signer.ProofBLS, signer.ProofBIP340, signer.ProofECDSA, "", "magic"} {
			for _, proof := range [][]byte{nil, {1, 2, 3}, make([]byte, 64), make([]byte, 96)} {
				if provesPossession(signer.Challenge{Key: id, Genesis: testGenesis}, signer.Proof{Scheme: scheme, Signature: proof}) {
					t.Errorf("%d zero bytes by %q prove the possession of %s", len(proof), scheme, id)
				}
			}
		}
	}
}

func TestSignerThatDoesNotListIsNotAdmitted(t *testing.T) {
	a := newAdmitter(t)
	c := plugintest.Serve(t, memory())
	broken := errors.New("no list")
	a.listed = func(context.Context, *process, *wire.Client) ([]signer.Key, error) { return nil, broken }
	wantIs(t, a.admitSigner(t.Context(), newcomer(), c, roleSigner, swap.Primary), broken)
}

func TestNewcomersGuardIsNeverEmpty(t *testing.T) {
	key := signer.BLSKey(signertest.BLSPublic("a"))
	a := newAdmitter(t, key)
	res, err := a.guard.ReserveApproval(t.Context(), key, header(50, 20))
	must(t, err)
	must(t, a.guard.Complete(t.Context(), res, signertest.BLSSecret("a").Sign(signer.ApprovalRoot(res.Header))))
	m := memory()
	c := plugintest.ServeWith(t, m, plugintest.Options{Host: lifecycle.Host{Genesis: testGenesis}})
	must(t, a.admitSigner(t.Context(), newcomer(), c, roleSigner, swap.Primary))
	for _, h := range []chain.Header{header(50, 20), header(49, 20), header(51, 19)} {
		if _, err := m.Approve(t.Context(), signer.Approval{Key: key, Header: h}); !errors.Is(err, signer.ErrRefused) {
			t.Errorf("the newcomer signed slot %d, height %d: %v", h.Slot, h.Height, err)
		}
	}
	if _, err := m.Approve(t.Context(), signer.Approval{Key: key, Header: header(51, 20)}); err != nil {
		t.Errorf("the newcomer does not sign what is next: %v", err)
	}
}

// from is an engine with another status.
type from struct {
	*enginetest.Memory
	change func(*engine.Status)
}

func (f from) Status(ctx context.Context) (engine.Status, error) {
	s, err := f.Memory.Status(ctx)
	f.change(&s)
	return s, err
}

func TestEngineIsAdmittedByItsChainAndHead(t *testing.T) {
	ok := devEngine(t)
	const now = 1_800_000_000
	failed := errors.New("not at our head")
	for _, test := range []struct {
		name    string
		engine  engine.Engine
		catchUp error
		want    error
	}{
		{"it is of our chain", ok, nil, nil},
		{"another chain id", from{ok, func(s *engine.Status) { s.ChainID++ }}, nil, errOtherChain},
		{"another genesis", from{ok, func(s *engine.Status) { s.Genesis[0]++ }}, nil, errOtherChain},
		{"its horizon is a year away", from{ok, func(s *engine.Status) { s.Horizon = new(uint64(now + 365*86_400)) }}, nil, nil},
		{"its horizon is an hour away", from{ok, func(s *engine.Status) { s.Horizon = new(uint64(now + 3600)) }}, nil, errHorizon},
		{"it lacks a fork of ours and names no horizon", from{ok, func(s *engine.Status) { s.Forks = nil }}, nil, errOtherForks},
		{"it has a fork that we do not have", from{ok, func(s *engine.Status) {
			s.Forks = append(slices.Clip(s.Forks), engine.Fork{Name: "cancun", Timestamp: now + 3600})
		}}, nil, errOtherForks},
		{"it can never be brought to our head", ok, failed, failed},
		{"it does not answer", enginetest.WithFault(ok, enginetest.Failing(engine.ErrUnavailable)), nil, engine.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			forks, err := forksOf(spec.Dev().GenesisJSON())
			must(t, err)
			a := &admitter{
				chainID: spec.DevChainID, forks: forks, el: ok.Genesis(), margin: 86_400, now: func() uint64 { return now },
				catchUp: func(context.Context, engine.Engine) error { return test.catchUp },
			}
			wantIs(t, a.admitEngine(t.Context(), test.engine), test.want)
		})
	}
}

// slow is good and takes its time; leaving ends without a word; chatty orders the same for ever.
type (
	leaving struct{ *syncertest.Memory }
	chatty  struct{ *syncertest.Memory }
	greedy  struct{ *syncertest.Memory }
	hasty   struct{ *syncertest.Memory }
)

func (leaving) Run(context.Context, syncer.Session) error { return nil }

func (chatty) Run(ctx context.Context, s syncer.Session) error {
	for {
		if err := s.Send(ctx, syncer.Order{Epoch: 1, Window: &syncer.Window{Bytes: 1}}); err != nil {
			return err
		}
	}
}

func (greedy) Run(ctx context.Context, s syncer.Session) error {
	for id := syncer.BatchID(1); ; id++ {
		if err := s.Send(ctx, syncer.Order{Epoch: 1, Assign: &syncer.Assign{Batch: id, Range: syncer.Range{From: 1, To: 8}, Peer: "trace"}}); err != nil {
			return err
		}
	}
}

func (hasty) Run(ctx context.Context, s syncer.Session) error {
	return s.Send(ctx, syncer.Order{Epoch: 1, Complete: &syncer.Complete{Target: traceHeights}})
}

func TestStrategyIsAdmittedByItsOrders(t *testing.T) {
	died := errors.New("died")
	for _, test := range []struct {
		name     string
		strategy syncer.Strategy
		want     error
	}{
		{"it fetches all of it", syncertest.NewMemory(), nil},
		{"it never orders", syncertest.Silent{}, context.DeadlineExceeded},
		{"its orders do not fit", syncertest.Wild{}, syncer.ErrBadOrder},
		{"it fails at once", syncertest.Failing{Err: died}, died},
		{"it fails later", syncertest.Failing{After: 1, Err: died}, died},
		{"it leaves", leaving{}, errEndedEarly},
		{"it never ends", chatty{}, errInsaneOrders},
		{"it orders twice", greedy{}, errInsaneOrders},
		{"it is done too soon", hasty{}, errInsaneOrders},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := trySync(ctx, test.strategy)
			wantIs(t, err, test.want)
			if test.want != nil {
				wantIs(t, err, errInsaneOrders)
			}
		})
	}
}

func TestStrategyIsAdmittedOverTheWire(t *testing.T) {
	must(t, trySync(t.Context(), plugintest.Serve(t, syncertest.NewMemory()).Strategy()))
	if err := trySync(t.Context(), plugintest.Serve(t, syncertest.Wild{Memory: syncertest.NewMemory()}).Strategy()); err == nil {
		t.Error("a wild strategy was admitted")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := trySync(ctx, plugintest.Serve(t, syncertest.Silent{Memory: syncertest.NewMemory()}).Strategy()); err == nil {
		t.Error("a silent strategy was admitted")
	}
}

func TestProcessOfAnotherLauncherIsNotAdmitted(t *testing.T) {
	a := newAdmitter(t)
	wantIs(t, a.Admit(t.Context(), swap.Admission{New: newcomer()}), errNotOurs)
	wantIs(t, a.BeforeFlip(t.Context(), swap.Admission{New: newcomer()}), errNotOurs)
}

// ecdsaProving proves its Bitcoin key by ECDSA, as an HSM without BIP-340 does; high says with the other form of S.
type ecdsaProving struct {
	*signertest.Memory
	high bool
}

func (e ecdsaProving) Prove(_ context.Context, c signer.Challenge) (signer.Proof, error) {
	root := signer.ChallengeRoot(c)
	sig := ecdsa.Sign(signertest.BitcoinSecret("a"), root[:])
	if e.high {
		r, s := sig.R(), sig.S()
		s.Negate()
		return signer.Proof{Scheme: signer.ProofECDSA, Signature: highDER(r, s)}, nil
	}
	return signer.Proof{Scheme: signer.ProofECDSA, Signature: sig.Serialize()}, nil
}

// highDER is the DER form of a signature as it is: the library's own would make S low.
func highDER(r, s btcec.ModNScalar) []byte {
	integer := func(v btcec.ModNScalar) []byte {
		b := v.Bytes()
		out := append([]byte{0}, b[:]...)
		for len(out) > 1 && out[0] == 0 && out[1] < 0x80 {
			out = out[1:]
		}
		return append([]byte{2, byte(len(out))}, out...)
	}
	body := append(integer(r), integer(s)...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func TestBitcoinKeyIsProvenByEcdsaWithLowSOnly(t *testing.T) {
	ch := signer.Challenge{Key: signer.BitcoinKey(signertest.BitcoinPublic("a")), Genesis: testGenesis}
	for _, high := range []bool{false, true} {
		proof, err := ecdsaProving{memory(), high}.Prove(t.Context(), ch)
		must(t, err)
		if got := provesPossession(ch, proof); got == high {
			t.Errorf("a proof with high S %v proves %v", high, got)
		}
	}
}

// withoutFloor is a signer whose own guard takes no floor.
type withoutFloor struct {
	inner *signertest.Memory
	lifecycle.Plugin
	signer.Signer
	caps []lifecycle.Capability
}

func (w withoutFloor) Describe() lifecycle.Description {
	d := w.inner.Describe()
	d.Capabilities = w.caps
	return d
}

func TestSignerOfApprovalsWithoutAFloorNeedsItsGuardBesideTheKey(t *testing.T) {
	a := newAdmitter(t, signer.BLSKey(signertest.BLSPublic("a")))
	for _, test := range []struct {
		caps []lifecycle.Capability
		want error
	}{
		{nil, errNoFloor},
		{[]lifecycle.Capability{lifecycle.CapGuardBesideKey}, nil},
	} {
		m := memory()
		c := plugintest.ServeWith(t, withoutFloor{m, m, m, test.caps}, plugintest.Options{Host: lifecycle.Host{Genesis: testGenesis}})
		wantIs(t, a.admitSigner(t.Context(), newcomer(), c, roleSigner, swap.Primary), test.want)
	}
}
