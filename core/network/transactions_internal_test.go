package network

import (
	"bytes"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alys-node/alys/sdk/chain"
)

func FuzzDecodeTransactions(f *testing.F) {
	raw, err := encodeTransactions(7, [][]byte{{1}, []byte("a transaction")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0xc0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		slot, txs, err := decodeTransactions(raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if again, err := encodeTransactions(slot, txs); err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%x decodes and encodes to %x, %v", raw, again, err)
		}
	})
}

func TestTransactionsHaveLimits(t *testing.T) {
	many := make([][]byte, MaxTransactions+1)
	for i := range many {
		many[i] = []byte{1}
	}
	for name, txs := range map[string][][]byte{"none": {}, "too many": many, "too large": {make([]byte, MaxTransactionsBytes)}} {
		raw, err := encodeTransactions(1, txs)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := decodeTransactions(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := decodeTransactions([]byte{1, 2}); !errors.Is(err, ErrMalformed) {
		t.Errorf("two bytes: %v", err)
	}
}

// walletTx is a transaction of n bytes, all of them i.
func walletTx(i byte, n int) []byte { return bytes.Repeat([]byte{i}, n) }

// TestTransactionsAreForwardedOverPeers sends more than fits in one message, the largest that geth takes among them.
func TestTransactionsAreForwardedOverPeers(t *testing.T) {
	all := line(t, 3)
	var txs [][]byte
	for i := range byte(3) {
		txs = append(txs, walletTx(i, 128<<10))
	}
	for i := range byte(50) {
		txs = append(txs, walletTx(100+i, 300))
	}
	resend(t, all, func() {
		if err := all[0].PublishTransactions(t.Context(), txs); err != nil {
			t.Fatal(err)
		}
	}, func() bool { return all[2].in.transactions() >= len(txs) })
	for _, tx := range txs {
		if !all[2].in.has(tx) {
			t.Errorf("a transaction of %d bytes did not arrive", len(tx))
		}
	}
	if from := all[2].in.txsFrom; from != all[1].name() {
		t.Errorf("transactions from %s, want the one that handed them on", from)
	}
	if err := all[0].PublishTransactions(t.Context(), [][]byte{make([]byte, MaxTransactionsBytes)}); !errors.Is(err, ErrMalformed) {
		t.Errorf("one that fits in no message: %v", err)
	}
}

func TestTransactionsAreJudgedBeforeTheyAreForwarded(t *testing.T) {
	for _, verdict := range []Verdict{Ignore, Reject} {
		t.Run(verdict.String(), func(t *testing.T) {
			all := line(t, 3)
			bad, good := walletTx(1, 100), walletTx(2, 100)
			all[1].in.mu.Lock()
			all[1].in.txVerdict = func(txs [][]byte) Verdict {
				if bytes.Equal(txs[0], bad) {
					return verdict
				}
				return Accept
			}
			all[1].in.mu.Unlock()
			resend(t, all, func() {
				for _, tx := range [][]byte{bad, good} {
					if err := all[0].PublishTransactions(t.Context(), [][]byte{tx}); err != nil {
						t.Fatal(err)
					}
				}
			}, func() bool { return all[1].in.has(bad) && all[2].in.has(good) })
			if all[2].in.has(bad) {
				t.Error("it was forwarded")
			}
			for _, p := range all[1].Peers() {
				if p.ID == all[0].name() && (p.Faults > 0) != (verdict == Reject) {
					t.Errorf("the sender has %v points of faults", p.Faults)
				}
			}
		})
	}
}

func TestTransactionsOverTheQuotaAreNotLookedAt(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	b.member(a.peerID()).quota.transactions.SetBurst(10)
	over := func() float64 {
		return testutil.ToFloat64(b.metrics.Messages.WithLabelValues("transactions", "over_quota"))
	}
	resend(t, []*running{a, b}, func() {
		txs := make([][]byte, 11)
		for i := range txs {
			txs[i] = walletTx(byte(i), 10)
		}
		if err := a.PublishTransactions(t.Context(), txs); err != nil {
			t.Fatal(err)
		}
	}, func() bool { return over() > 0 })
	if got := b.in.transactions(); got != 0 {
		t.Errorf("%d were handed on", got)
	}
	if f := testutil.ToFloat64(b.metrics.PeerFaults); f != 0 {
		t.Errorf("%v faults: a busy peer is no bad one", f)
	}
}

func TestGarbageTransactionsAreAFault(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	b.book.change(func() { b.book.of(a.peerID()).static = false })
	n := byte(0)
	resend(t, []*running{a, b}, func() {
		n++
		_ = a.gossip.Load().transactions.Publish(t.Context(), []byte{0, 0, 0, 0, 0, 0, 0, n, 0xff})
	}, func() bool { return testutil.ToFloat64(b.metrics.PeerFaults) >= 1 })
}

func TestOldTransactionsAreIgnored(t *testing.T) {
	a, b := pair(t, newLedger(5, 0))
	resend(t, []*running{a, b}, func() {
		raw, err := encodeTransactions(a.slot.now()-100, [][]byte{walletTx(1, int(a.slot.now()-990))})
		if err != nil {
			t.Fatal(err)
		}
		_ = a.gossip.Load().transactions.Publish(t.Context(), raw)
	}, func() bool {
		return testutil.ToFloat64(b.metrics.Messages.WithLabelValues("transactions", "other_slot")) > 0
	})
	if got := b.in.transactions(); got != 0 {
		t.Errorf("%d were handed on", got)
	}
}

func TestTransactionsNeedAnOpenNetwork(t *testing.T) {
	o := options(t, newLedger(2, 0), &inbox{}, &slotClock{at: chain.Slot(5)})
	n, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	wantError(t, n.PublishTransactions(t.Context(), [][]byte{{1}}), ErrNotOpen)
}
