package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// startSlot is the slot in which the node of these tests started.
const startSlot = 1000

// watched is a doppelganger over a real guard, for authority 0 of some, with a signer that counts.
type watched struct {
	*doppelganger
	t      *testing.T
	store  *broken
	key    chain.BLSPublicKey
	at     time.Time
	signed int
	alarms []string
}

// sign asks for an approval as the driver does.
func (w *watched) sign(h chain.Header) error {
	w.t.Helper()
	_, err := w.Approve(w.t.Context(), w.key, h)
	return err
}

// counted reserves in the guard and counts what came through.
type counted struct{ w *watched }

// Approve implements driver.Signer.
func (c counted) Approve(ctx context.Context, key chain.BLSPublicKey, h chain.Header) (chain.BLSSignature, error) {
	if _, err := c.w.guard.ReserveApproval(ctx, signer.BLSKey(key), h); err != nil {
		return chain.BLSSignature{}, err
	}
	c.w.signed++
	return chain.BLSSignature{1}, nil
}

func newWatched(t *testing.T, authorities int) *watched {
	t.Helper()
	s := spec.Dev()
	if authorities > 1 {
		s = spec.DevNodes(authorities)
	}
	w := &watched{t: t, store: &broken{Store: guard.NewMemoryStore()}, key: s.Set(1).Keys[0], at: time.Unix(1_800_000_000, 0)}
	g, err := guard.Open(t.Context(), guard.Options{
		Store: w.store, Genesis: testGenesis, Now: time.Now, SlotAt: func(time.Time) chain.Slot { return startSlot + 2*ownSlots },
	})
	must(t, err)
	approved, err := lru.New[ownSlot, chain.Hash](ownSlots)
	must(t, err)
	w.doppelganger = &doppelganger{
		guard: g, schedule: s.Agreement(), self: []chain.BLSPublicKey{w.key}, next: counted{w}, wait: 8 * time.Second, start: startSlot,
		now: func() time.Time { return w.at }, alarm: func(text string) { w.alarms = append(w.alarms, text) }, log: hclog.NewNullLogger(),
		approved: approved, floors: map[chain.BLSPublicKey]signer.Floor{}, newest: map[chain.BLSPublicKey]chain.Slot{},
	}
	return w
}

// listened is one that has met a peer and waited.
func listened(t *testing.T) *watched {
	t.Helper()
	w := newWatched(t, 3)
	w.Met()
	w.at = w.at.Add(w.wait)
	return w
}

func approvedAt(slot chain.Slot, height chain.Height) chain.Header {
	return chain.Header{Version: chain.HeaderVersion, Genesis: testGenesis, Slot: slot, Height: height}
}

// told is an approval of authority i, as a peer tells it.
func told(i int, h chain.Header) network.Message {
	return network.Message{Approval: &consensus.Approval{Header: h, Authority: i}}
}

func TestNodeListensBeforeItSigns(t *testing.T) {
	w := newWatched(t, 3)
	h := approvedAt(startSlot+1, 5)
	wait := func(part string) {
		t.Helper()
		if err := w.sign(h); !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(w.HoldsBack(5), part) {
			t.Errorf("signing gives %v, the node %q; want it to hold back: %s", err, w.HoldsBack(5), part)
		}
	}
	w.at = w.at.Add(time.Hour) // nobody was there to listen to
	wait("waits for a peer")
	w.Met()
	wait("for 8s more")
	w.at = w.at.Add(7 * time.Second)
	w.Met() // another peer: it began with the first
	wait("for 1s more")
	w.at = w.at.Add(time.Second)
	must(t, w.sign(h))
	if w.HoldsBack(5) != "" || w.signed != 1 {
		t.Errorf("holds back: %q, signed %d", w.HoldsBack(5), w.signed)
	}
}

func TestAuthorityThatIsAloneDoesNotListen(t *testing.T) {
	w := newWatched(t, 1)
	must(t, w.sign(approvedAt(startSlot+1, 1)))
	if why := w.HoldsBack(1); why != "" {
		t.Errorf("holds back: %s", why)
	}
}

func TestListeningCanBeTurnedOff(t *testing.T) {
	w := newWatched(t, 3)
	w.wait = 0
	must(t, w.sign(approvedAt(startSlot+1, 1)))
}

// TestRestoredGuardLearnsWhatItSigned: an approval of ours from before the start raises the floor, however it is told.
func TestRestoredGuardLearnsWhatItSigned(t *testing.T) {
	h := approvedAt(startSlot-10, 50)
	qc := block.QC{Block: h.Hash(), Signers: block.NewSigners(3)}
	qc.Signers.Set(0)
	authored := h
	for s := newWatched(t, 3).schedule; ; authored.Slot++ {
		if author, _ := s.Author(authored.Slot, authored.Height); author == 0 {
			break
		}
	}
	for name, m := range map[string]network.Message{
		"approval":    told(0, h),
		"certificate": {Certificate: &consensus.Certificate{Header: h, QC: qc}},
		"proposal":    {Proposal: &consensus.Proposal{Header: authored}},
	} {
		t.Run(name, func(t *testing.T) {
			w := listened(t)
			w.Heard(m)
			w.Heard(m)
			for _, low := range []chain.Header{approvedAt(startSlot-10, 60), approvedAt(startSlot+1, 49)} {
				if err := w.sign(low); !errors.Is(err, signer.ErrRefused) {
					t.Errorf("slot %d, height %d: %v, want a refusal of the guard", low.Slot, low.Height, err)
				}
			}
			must(t, w.sign(approvedAt(startSlot+2, 50)))
			if len(w.alarms) != 0 {
				t.Errorf("alarms %v", w.alarms)
			}
		})
	}
}

// TestTwoNodesWithOneKey: who hears its own key sign now, by somebody else, signs nothing more.
func TestTwoNodesWithOneKey(t *testing.T) {
	for _, when := range []string{"while it listens", "later"} {
		t.Run(when, func(t *testing.T) {
			w := newWatched(t, 3)
			w.Met()
			if when == "later" {
				w.at = w.at.Add(w.wait)
				must(t, w.sign(approvedAt(startSlot+1, 5)))
			}
			w.Heard(told(0, approvedAt(startSlot+1, 6)))
			w.Heard(told(0, approvedAt(startSlot+2, 7)))
			w.at = w.at.Add(time.Hour)
			if err := w.sign(approvedAt(startSlot+9, 9)); !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "somebody else signs") {
				t.Errorf("signing gives %v", err)
			}
			if len(w.alarms) != 1 || !strings.Contains(w.HoldsBack(5), "stop one of the two") {
				t.Errorf("alarms %v, holds back %q", w.alarms, w.HoldsBack(5))
			}
		})
	}
}

func TestOwnAndOthersApprovalsAreNoDoppelganger(t *testing.T) {
	w := listened(t)
	w.floors[w.key] = signer.Floor{Slot: startSlot - 1, Height: 40}
	ours := approvedAt(startSlot+1, 50)
	must(t, w.sign(ours))
	w.Heard(told(0, ours))
	w.Heard(told(1, approvedAt(startSlot+1, 51))) // another authority
	w.Heard(told(0, approvedAt(startSlot-1, 40))) // which the guard knew at the start
	w.Heard(network.Message{})                    // of no set
	must(t, w.sign(approvedAt(startSlot+ownSlots, 60)))
	w.Heard(told(0, approvedAt(startSlot, 41))) // too long ago to be remembered
	must(t, w.sign(approvedAt(startSlot+ownSlots+1, 60)))
	if len(w.alarms) != 0 || w.floors[w.key].Slot != startSlot-1 {
		t.Errorf("alarms %v, floor %+v", w.alarms, w.floors[w.key])
	}
}

func TestFloorThatCannotBeRaisedEndsSigning(t *testing.T) {
	w := listened(t)
	w.store.err = errors.New("disk is full")
	w.Heard(told(0, approvedAt(startSlot-10, 50)))
	w.store.err = nil
	if err := w.sign(approvedAt(startSlot+1, 60)); !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("signing gives %v", err)
	}
	if len(w.alarms) != 1 {
		t.Errorf("alarms %v", w.alarms)
	}
}
