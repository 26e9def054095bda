package guard_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

var genesis = chain.TaggedHash("test/genesis")

const slotTime = 2 * time.Second

// clock is a wall clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func slotAt(t time.Time) chain.Slot { return chain.Slot(t.UnixMilli() / slotTime.Milliseconds()) }

// startOf is the begin of a slot.
func startOf(s chain.Slot) time.Time { return time.UnixMilli(int64(s) * slotTime.Milliseconds()) }

// atSlot is a clock that stands at the begin of a slot.
func atSlot(s chain.Slot) *clock { return &clock{now: startOf(s)} }

func options(store guard.Store, c *clock) guard.Options {
	return guard.Options{Store: store, Genesis: genesis, Now: c.Now, SlotAt: slotAt}
}

func open(t testing.TB, o guard.Options) *guard.Guard {
	t.Helper()
	g, err := guard.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// secret is a BLS key with its id.
type secret struct {
	*bls.SecretKey
	id signer.KeyID
}

func newSecret(t testing.TB) secret {
	t.Helper()
	k, err := bls.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return secret{k, signer.BLSKey(k.Public())}
}

// header is the n-th rival block for a slot and height.
func header(slot chain.Slot, height chain.Height, n byte) chain.Header {
	return chain.Header{
		Version: chain.HeaderVersion, Genesis: genesis, Slot: slot, Height: height, BodyRoot: chain.Hash{n},
	}
}

func reserve(t testing.TB, g *guard.Guard, key signer.KeyID, h chain.Header) guard.Reservation {
	t.Helper()
	r, err := g.ReserveApproval(t.Context(), key, h)
	if err != nil {
		t.Fatalf("reserve slot %s height %s: %v", h.Slot, h.Height, err)
	}
	return r
}

func wantRefused(t testing.TB, err error, want guard.Reason) {
	t.Helper()
	got, ok := guard.ReasonOf(err)
	if !ok || got != want {
		t.Fatalf("got %v, want a refusal for %s", err, want)
	}
	if !errors.Is(err, signer.ErrRefused) {
		t.Fatalf("%v is not signer.ErrRefused", err)
	}
}

var errPowerCut = errors.New("power cut")

// crashing is a store whose process dies: at the n-th write from now, before or after the record is durable. Then every
// call fails until it is opened again.
type crashing struct {
	guard.Store
	mu    sync.Mutex
	left  int // writes until the crash; negative is never
	after bool
	dead  bool
}

func (s *crashing) CompareAndSwap(ctx context.Context, k guard.Key, old guard.Version, r guard.Record) (guard.Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return guard.Version{}, errPowerCut
	}
	if s.left--; s.left == 0 {
		s.dead = true
		if s.after {
			if _, err := s.Store.CompareAndSwap(ctx, k, old, r); err != nil {
				return guard.Version{}, err
			}
		}
		return guard.Version{}, errPowerCut
	}
	return s.Store.CompareAndSwap(ctx, k, old, r)
}

// failing answers writes with an error that the test sets.
type failing struct {
	guard.Store
	err error
}

func (s *failing) CompareAndSwap(ctx context.Context, k guard.Key, old guard.Version, r guard.Record) (guard.Version, error) {
	if s.err != nil {
		return guard.Version{}, s.err
	}
	return s.Store.CompareAndSwap(ctx, k, old, r)
}

// damaged lets a test change what Load gives.
type damaged struct {
	guard.Store
	change func([]guard.Record) []guard.Record
}

func (s *damaged) Load(ctx context.Context, k guard.Key) ([]guard.Record, guard.Version, error) {
	records, v, err := s.Store.Load(ctx, k)
	if s.change != nil {
		records = s.change(records)
	}
	return records, v, err
}
