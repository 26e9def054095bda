package devnet_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/migrate"
)

// places are where a candidate lies, each as a migration whose first step goes on until it fails.
var places = []struct{ name, step string }{
	{"shadow", "    primary = plugin.engine.v4\n    shadow  = plugin.engine.liar\n"},
	{"canary", "    primary = plugin.engine.v4\n    canary {\n      plugin  = plugin.engine.liar\n      percent = 60\n    }\n"},
	{"primary", "    primary  = plugin.engine.liar\n    fallback = plugin.engine.v4\n"},
}

// liarMigrations are blocks of alys.hcl: the old engine, the liar, and a migration for every place.
func liarMigrations(liar string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `swap {
  probation       = "1s"
  probation_calls = 2
}

plugin "engine" "v4" {
  command = "alys-engine-v4"
}

plugin "engine" "liar" {
  command = %q
  config {
    lies = "./lies"
  }
}
`, liar)
	for _, p := range places {
		latency := ""
		if p.name != "primary" { // there nobody is asked beside it
			latency = "  gate \"latency\" {\n    metric = \"latency_ratio\"\n    max    = 2\n  }\n"
		}
		fmt.Fprintf(&b, `
migration %q {
  role = "engine"
  from = plugin.engine.v4
  to   = plugin.engine.liar
  gate "same_answers" {
    metric = "correctness"
  }
%s  step "lies" {
%s    soak = "1h"
  }
  step "only" {
    primary  = plugin.engine.liar
    approval = true
  }
}
`, p.name, latency, p.step)
	}
	return b.String()
}

// lie is what a candidate does wrong, and what the log says of it.
type lie struct {
	name   string
	reason map[string]string // part of the reason in the log, by the place; a place that is not there is not tried
	ci     string            // the places that are tried without the flag
	slow   bool              // found by statistics, not at once
}

func lies() []lie {
	return []lie{
		{name: "receipts", ci: "primary", reason: map[string]string{"shadow": "receipt", "canary": "receipt", "primary": "receipt"}},
		{name: "invalid", ci: "canary primary", reason: map[string]string{"shadow": "answers differ", "canary": "answers differ", "primary": "disagree"}},
		{name: "valid", ci: "primary", reason: map[string]string{"canary": "answers differ", "primary": "disagree"}},
		{name: "unmoved", ci: "shadow", reason: map[string]string{"shadow": "another head", "canary": "another head", "primary": "another head"}},
		{name: "hang", ci: "primary", reason: map[string]string{"shadow": "in a row", "canary": "in a row", "primary": "deadline"}},
		{name: "syncing", reason: map[string]string{"shadow": "engine is syncing", "canary": "engine is syncing", "primary": "syncing"}},
		{name: "crash", ci: "primary", reason: map[string]string{"shadow": "in a row", "canary": "in a row", "primary": ""}},
		{name: "slow", slow: true, reason: map[string]string{"shadow": "latency", "canary": "latency"}},
	}
}

// traffic sends a transaction every now and then and counts what wallets were refused.
type traffic struct {
	stop func()

	// Of the goroutine that sends, until it has ended.
	sent   []common.Hash
	failed []string
}

func (tr *traffic) fail(err error) {
	tr.failed = append(tr.failed, fmt.Sprintf("%s: %v", time.Now().Format("15:04:05.000"), err))
}

// walk sends transfers through the wallet of a node, and asks those of others for a balance, until stop, which waits for the
// last transfer to be mined.
func walk(t *testing.T, n *devnet.Node, every time.Duration, others ...*devnet.Node) *traffic {
	t.Helper()
	w := newWallet(t, n)
	readers := make([]*wallet, len(others))
	for i, o := range others {
		readers[i] = newWallet(t, o)
	}
	tr := &traffic{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	nonce := w.nonce()
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for i, r := range readers {
				if _, err := r.BalanceAt(ctx, w.from, nil); err != nil && ctx.Err() == nil {
					tr.fail(fmt.Errorf("balance at another node (%d): %w", i, err))
				}
			}
			hash, err := w.trySend(ctx, nonce, &common.Address{0xaa, 9}, 1)
			switch {
			case err == nil:
				nonce++
				tr.sent = append(tr.sent, hash)
			case ctx.Err() == nil:
				tr.fail(fmt.Errorf("nonce %d: %w", nonce, err))
			}
		}
	}()
	var once sync.Once
	tr.stop = func() {
		once.Do(func() {
			cancel()
			<-done
			if len(tr.sent) == 0 {
				t.Error("no transaction was sent")
				return
			}
			w.mined(tr.sent[len(tr.sent)-1])
			t.Logf("%d transactions sent and mined, %d requests of the wallet failed", len(tr.sent), len(tr.failed))
			for _, f := range tr.failed {
				t.Error(f)
			}
		})
	}
	t.Cleanup(func() { cancel(); <-done })
	return tr
}

// quantiles tells how long something took.
func (m measured) quantiles(t *testing.T, what string) {
	t.Helper()
	if len(m) == 0 {
		return
	}
	s := slices.Sorted(slices.Values(m))
	at := func(q float64) time.Duration { return s[int(q*float64(len(s)-1)+0.5)].Round(time.Millisecond) }
	t.Logf("%s: p50 %s, p99 %s, worst %s of %d", what, at(0.5), at(0.99), at(1), len(s))
}

// TestEndToEndLyingEngines lets a candidate be admitted, lie later, and be found out: as a shadow, as a canary and as
// primary. The run goes back by itself, its log names the reason, no slot is without its block and no wallet hears of it.
func TestEndToEndLyingEngines(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	if !*everyLie {
		t.Parallel()
	}
	n := devnet.New(t, binaries, liarMigrations(binaries.Liar))
	n.Edit("primary = plugin.engine.v5\n", "primary = plugin.engine.v4\n")
	n.Start()
	traffic := walk(t, n, 300*time.Millisecond)
	var back, beside measured
	for _, l := range lies() {
		for _, p := range places {
			if _, tried := l.reason[p.name]; !tried || !*everyLie && !strings.Contains(l.ci, p.name) {
				continue
			}
			took := foundOut(t, n, l, p.name)
			switch {
			case l.slow:
			case p.name == "shadow":
				beside = append(beside, took)
			default:
				back = append(back, took)
			}
		}
	}
	traffic.stop()
	back.quantiles(t, "one that answers: from its first lie until the old route serves (promise: p99 at most 5s)")
	beside.quantiles(t, "a shadow, which answers nobody")
	if out, ok := n.Alys("audit", "verify"); !ok {
		t.Error(out)
	}
	everySlot(t, n, n.Status().MissedOwn)
}

// alone reports that the old engine serves, and nobody beside it.
func alone(s admin.Status) bool {
	r := s.Roles["engine"]
	return slices.Equal(r.States, []string{"single"}) && r.Route.Primary == "v4" && r.Route.Fallback == "" && r.Route.Shadow == "" && r.Route.Canary == ""
}

// foundOut runs one migration until it has gone back, and gives the time from the lie to the old route.
func foundOut(t *testing.T, n *devnet.Node, l lie, place string) time.Duration {
	t.Helper()
	what := l.name + " as " + place
	n.Lie("")
	if out, ok := n.Alys("migrate", "start", place, "--auto-approve"); !ok {
		t.Fatalf("%s: %s", what, out)
	}
	n.Until(what+": it soaks", time.Minute, func() bool { s, ok := n.Migration(place); return ok && s.State == migrate.StateSoaking })
	n.UntilBlocks(2)
	missed := n.Status().MissedOwn
	before := n.Status().Head.Height
	n.Lie(l.name)
	n.Until(what+": it lies", time.Minute, func() bool { _, ok := n.Lied(); return ok })
	lied, _ := n.Lied()
	n.Until(what+": the old route serves", 2*time.Minute, func() bool { s, ok := n.TryStatus(); return ok && alone(s) })
	took := time.Since(lied)
	n.Until(what+": it has gone back", 2*time.Minute, func() bool {
		s, ok := n.Migration(place)
		return ok && s.State == migrate.StateRolledBack
	})
	blocks := n.Status().Head.Height - before
	n.Lie("")
	history := n.MigrationHistory(place)
	var found, over migrate.Record
	for _, r := range history {
		switch r.Kind {
		case migrate.RecordStarted:
			found, over = migrate.Record{}, migrate.Record{}
		case migrate.RecordRollingBack:
			found = r
		case migrate.RecordRolledBack:
			over = r
		default:
		}
	}
	if !strings.Contains(found.Reason, l.reason[place]) {
		t.Errorf("%s: the log does not say %q: %s", what, l.reason[place], found.Reason)
	}
	if s := n.Status(); !alone(s) {
		t.Errorf("%s: afterwards the route is %+v", what, s.Roles["engine"].Route)
	}
	t.Logf("%-8s as %-7s found after %4d ms, old route after %4d ms, liar gone after %5d ms, %d blocks, %d slots missed: %s", l.name, place,
		found.At.Sub(lied).Milliseconds(), took.Milliseconds(), over.At.Sub(lied).Milliseconds(), blocks, n.Status().MissedOwn-missed, found.Reason)
	n.UntilBlocks(1)
	return took
}
