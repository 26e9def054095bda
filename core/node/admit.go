package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire"
)

// Errors of admission. Each leaves the old route serving.
var (
	errKeyMissing   = errors.New("newcomer does not hold a key that the route signs with")
	errPossession   = errors.New("newcomer did not prove that it can use a key: its signature on a fresh challenge does not verify with it")
	errRehearse     = errors.New("newcomer cannot sign a challenge: rehearse it in shadow first")
	errNoFloor      = errors.New("newcomer's own guard would start empty: it takes no floor, and does not say that its guard is beside the key")
	errOtherChain   = errors.New("engine runs another chain")
	errOtherForks   = errors.New("engine has another fork schedule")
	errHorizon      = errors.New("engine's fork horizon is too near")
	errInsaneOrders = errors.New("sync strategy gives orders that make no sense")
)

// admitter decides by kind whether a newcomer may take a position. It implements swap.Admitter.
type admitter struct {
	guard   *guard.Guard
	genesis chain.Hash
	chainID uint64
	forks   []engine.Fork                                      // of the chain
	el      chain.Hash                                         // execution genesis
	margin  uint64                                             // seconds that an engine's horizon must be away
	signs   bool                                               // the node is a validator: a signer without keys is of no use
	self    func(ctx context.Context) ([]signer.KeyID, error)  // keys of the schedule that this node signs with
	catchUp func(ctx context.Context, e engine.Engine) error   // to our heads
	now     func() uint64                                      // unix seconds
	trial   func(ctx context.Context, s syncer.Strategy) error // a recorded trace
	listed  func(ctx context.Context, p *process, c *wire.Client) ([]signer.Key, error)
}

// Admit implements swap.Admitter.
func (a *admitter) Admit(ctx context.Context, ad swap.Admission) error {
	p, err := ours(ad.New)
	if err != nil {
		return err
	}
	c, err := p.client()
	if err != nil {
		return err
	}
	switch p.id.Kind {
	case lifecycle.Signer:
		return a.admitSigner(ctx, p, c, ad.Role, ad.Position)
	case lifecycle.Engine:
		return a.admitEngine(ctx, c.Engine())
	case lifecycle.Sync:
		return a.trial(ctx, c.Strategy())
	}
	return fmt.Errorf("%s: unknown kind", p.id)
}

// BeforeFlip implements swap.Admitter.
func (a *admitter) BeforeFlip(ctx context.Context, ad swap.Admission) error {
	p, err := ours(ad.New)
	if err != nil {
		return err
	}
	c, err := p.client()
	if err != nil {
		return err
	}
	switch p.id.Kind {
	case lifecycle.Signer:
		return a.raiseFloors(ctx, p, c)
	case lifecycle.Engine:
		return a.catchUp(ctx, c.Engine())
	case lifecycle.Sync:
	}
	return nil
}

// admitSigner wants a proof of possession, by a fresh challenge, of every key that this node signs with in the role. A
// locked signer is admitted by what it lists: its operator unlocks it later, and until then it gives no answer.
func (a *admitter) admitSigner(ctx context.Context, p *process, c *wire.Client, role swap.Role, position swap.Position) error {
	self, err := a.self(ctx)
	if err != nil {
		return err
	}
	self = slices.DeleteFunc(slices.Clone(self), func(id signer.KeyID) bool { return !signsAs(role, id) })
	keys, err := a.listed(ctx, p, c)
	switch {
	case err != nil:
		return err
	case len(keys) == 0 && len(self) == 0 && a.signs && position == swap.Primary: // the first start
		return fmt.Errorf("%w: %s", errNoKeys, noKeysHint)
	}
	for _, id := range self {
		if !p.holds(id) {
			return fmt.Errorf("%w: %s; `alys keys list` shows who holds it", errKeyMissing, id)
		}
		err := a.challenge(ctx, c.Signer(), id)
		switch {
		case errors.Is(err, signer.ErrLocked):
		case errors.Is(err, lifecycle.ErrUnsupported) && position == swap.Shadow: // its answers are compared, never used
		case errors.Is(err, lifecycle.ErrUnsupported):
			return fmt.Errorf("%s: %w: %w", id, errRehearse, err)
		case err != nil:
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return a.raiseFloors(ctx, p, c)
}

// signsAs reports whether a role signs with a key: one that is narrowed to a purpose needs no keys of the other.
func signsAs(role swap.Role, id signer.KeyID) bool {
	_, notBLS := id.BLS()
	switch role {
	case roleApproval:
		return notBLS == nil
	case roleBitcoin:
		return notBLS != nil
	}
	return true
}

func (a *admitter) challenge(ctx context.Context, s signer.Signer, id signer.KeyID) error {
	ch := signer.Challenge{Key: id, Genesis: a.genesis}
	if _, err := rand.Read(ch.Nonce[:]); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	proof, err := s.Prove(ctx, ch)
	if err != nil {
		return err
	}
	if !provesPossession(ch, proof) {
		return errPossession
	}
	return nil
}

// provesPossession verifies a proof by its scheme, which must be one of the key.
func provesPossession(ch signer.Challenge, p signer.Proof) bool {
	root := signer.ChallengeRoot(ch)
	if p.Scheme == signer.ProofBLS {
		key, err := ch.Key.BLS()
		return err == nil && len(p.Signature) == len(chain.BLSSignature{}) && bls.Verify(key, root, chain.BLSSignature(p.Signature))
	}
	key, err := ch.Key.Bitcoin()
	if err != nil {
		return false
	}
	public, err := btcec.ParsePubKey(key[:])
	if err != nil {
		return false
	}
	switch p.Scheme {
	case signer.ProofBIP340:
		sig, err := schnorr.ParseSignature(p.Signature)
		return err == nil && sig.Verify(root[:], public)
	case signer.ProofECDSA:
		sig, err := ecdsa.ParseDERSignature(p.Signature)
		return err == nil && lowS(sig) && sig.Verify(root[:], public)
	case signer.ProofBLS:
	}
	return false
}

// lowS reports whether a signature has the one form of S that Bitcoin nodes relay.
func lowS(sig *ecdsa.Signature) bool {
	s := sig.S()
	return !s.IsOverHalfOrder()
}

// raiseFloors hands the guard's floors to a signer's own guard, which thus never starts empty. A signer of approval keys
// that takes no floor is refused, unless its guard is beside the key and therefore never new.
func (a *admitter) raiseFloors(ctx context.Context, p *process, c *wire.Client) error {
	states, err := a.guard.Show(ctx)
	if err != nil {
		return fmt.Errorf("read guard: %w", err)
	}
	var floors []signer.Floor
	for _, s := range states {
		if p.holds(s.Key) {
			floors = append(floors, floorOf(s))
		}
	}
	if !p.approves() {
		return nil
	}
	err = c.Signer().RaiseFloor(ctx, floors)
	if errors.Is(err, lifecycle.ErrUnsupported) {
		return a.guardBesideKey(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("raise the signer's own floor: %w", err)
	}
	return nil
}

func (a *admitter) guardBesideKey(ctx context.Context, c *wire.Client) error {
	d, err := c.Plugin().Describe(ctx)
	if err != nil {
		return fmt.Errorf("ask signer: %w", err)
	}
	if !slices.Contains(d.Capabilities, lifecycle.CapGuardBesideKey) {
		return fmt.Errorf("%w (capability %s)", errNoFloor, lifecycle.CapGuardBesideKey)
	}
	return nil
}

// floorOf is the floor to hand over. A block that the guard reserved and nobody has signed yet stays above it: the
// newcomer may be the one that is asked for it, and the guard lets nobody ask for another.
func floorOf(s guard.KeyState) signer.Floor {
	f := signer.Floor{Key: s.Key, Slot: s.Slot, Height: s.Height}
	if !s.Block.IsZero() && !s.Signed && f.Slot > 0 {
		f.Slot--
	}
	return f
}

// admitEngine wants the same chain, a horizon that is far enough, and our head read back after it was caught up.
func (a *admitter) admitEngine(ctx context.Context, e engine.Engine) error {
	s, err := e.Status(ctx)
	if err != nil {
		return fmt.Errorf("ask engine: %w", err)
	}
	switch {
	case s.ChainID != a.chainID:
		return fmt.Errorf("%w: chain id %d instead of %d", errOtherChain, s.ChainID, a.chainID)
	case s.Genesis != a.el:
		return fmt.Errorf("%w: genesis %s instead of %s", errOtherChain, s.Genesis, a.el)
	case s.Horizon != nil && *s.Horizon < a.now()+a.margin:
		return fmt.Errorf("%w: it cannot execute from unix time %d on", errHorizon, *s.Horizon)
	}
	if err := checkForks(a.forks, s); err != nil {
		return err
	}
	return a.catchUp(ctx, e)
}

// checkForks wants the chain's forks in the engine's own schedule, each at its time, up to the engine's horizon. Two
// engines that differ there agree on every block until the first of those times.
func checkForks(want []engine.Fork, s engine.Status) error {
	for _, f := range want {
		if s.Horizon != nil && f.Timestamp >= *s.Horizon {
			continue
		}
		if !slices.Contains(s.Forks, f) {
			return fmt.Errorf("%w: the chain has %s at unix time %d, the engine's schedule is %v", errOtherForks, f.Name, f.Timestamp, s.Forks)
		}
	}
	for _, f := range s.Forks {
		if !slices.Contains(want, f) {
			return fmt.Errorf("%w: the engine has %s at unix time %d, the chain does not", errOtherForks, f.Name, f.Timestamp)
		}
	}
	return nil
}

// forksOf reads the forks by time of an execution genesis in geth's format.
func forksOf(genesis []byte) ([]engine.Fork, error) {
	var g struct {
		Config struct {
			Shanghai *uint64 `json:"shanghaiTime"`
			Cancun   *uint64 `json:"cancunTime"`
			Prague   *uint64 `json:"pragueTime"`
		} `json:"config"`
	}
	if err := json.Unmarshal(genesis, &g); err != nil {
		return nil, fmt.Errorf("read the forks of the execution genesis: %w", err)
	}
	var out []engine.Fork
	for _, f := range []struct {
		name string
		at   *uint64
	}{{"shanghai", g.Config.Shanghai}, {"cancun", g.Config.Cancun}, {"prague", g.Config.Prague}} {
		if f.at != nil {
			out = append(out, engine.Fork{Name: f.name, Timestamp: *f.at})
		}
	}
	return out, nil
}
