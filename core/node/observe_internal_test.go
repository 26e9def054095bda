package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// watching is a watch whose events are kept.
func watching() (*watch, *[]Event) {
	var events []Event
	return &watch{
		hurry:   func(string) {},
		meter:   &meter{now: time.Now, owner: func(string) bool { return false }, notice: func(migrate.Event) {}},
		slots:   newSlotLog(spec.Dev().Agreement(), time.Now),
		metrics: telemetry.New("v", "dev"), log: hclog.NewNullLogger(), advanced: func(driver.Advanced) {},
		event: func(e Event) { events = append(events, e) },
	}, &events
}

var signerA = host.Name{Kind: lifecycle.Signer, Label: "a", Generation: 1}

// value is the sum of a metric over its labels.
func value(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	must(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func TestWhatHappensIsCounted(t *testing.T) {
	w, events := watching()
	w.Advanced(driver.Advanced{Head: chain.Ref{Height: 7}, Safe: chain.Ref{Height: 6}, Txs: 3, Own: true, Moved: true, SinceSlot: time.Second})
	w.MissedSlot(9)
	w.EngineCall("build", time.Millisecond, nil)
	w.PluginStarted(host.Started{Name: signerA})
	w.PluginCalled(host.Call{Name: signerA, Method: "/x/Approve"})
	w.Called(route.Called{Route: "signer", Err: errors.New("no")})
	w.Compared(route.Comparison{Route: "signer", Verdict: route.Disagree})
	w.Changed(route.Changed{Route: "signer", From: "single", To: "broken"})
	w.guarded(guard.Event{Kind: guard.EventReserved})
	for name, want := range map[string]float64{
		"alys_block_height": 13, "alys_block_transactions_total": 3, "alys_blocks_authored_total": 1, "alys_chain_reorgs_total": 1,
		"alys_block_production_duration_seconds": 1, "alys_slots_missed_total": 1, "alys_engine_duration_seconds": 1,
		"alys_plugin_starts_total": 1, "alys_plugin_up": 1, "alys_plugin_calls_total": 1, "alys_route_calls_total": 1,
		"alys_route_comparisons_total": 1, "alys_route_state": 1, "alys_guard_decisions_total": 1, "alys_guard_reserve_duration_seconds": 1,
	} {
		if got := value(t, w.metrics.Registry, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if len(*events) != 1 || (*events)[0].Block == nil || (*events)[0].Block.Head.Height != 7 {
		t.Errorf("events %+v", *events)
	}
	if w.authored.Load() != 1 || w.missed.Load() != 1 {
		t.Errorf("%d authored, %d missed", w.authored.Load(), w.missed.Load())
	}
}

func TestAlarmsReachPeople(t *testing.T) {
	w, events := watching()
	w.Alarm(route.Alarm{Route: "signer", Target: route.ID{Plugin: "signer.a"}, Reason: "forged"})
	w.Halted("two safe blocks")
	w.PluginExited(host.Exited{Name: signerA, Reason: "killed"})
	w.PluginExited(host.Exited{Name: signerA, Asked: true})
	w.guarded(guard.Event{Kind: guard.EventRefused, Reason: guard.ReasonConflict, Err: errors.New("another block")})
	w.guarded(guard.Event{Kind: guard.EventRefused, Reason: guard.ReasonStaleSlot, Err: errors.New("late")})
	w.Evidence(consensus.Evidence{})
	want := []string{"forged", "two safe blocks", "killed", "another block"}
	if len(*events) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(*events), len(want), *events)
	}
	for i, text := range want {
		if !strings.Contains((*events)[i].Text, text) {
			t.Errorf("event %d says %q, want %q", i, (*events)[i].Text, text)
		}
	}
	if value(t, w.metrics.Registry, "alys_consensus_halted") != 1 {
		t.Error("the halt is no metric")
	}
}

func TestErrorsOfTheChainAreToldApart(t *testing.T) {
	other := errors.New("disk")
	for _, test := range []struct{ from, is, not error }{
		{fmt.Errorf("x: %w", ledger.ErrInvalid), driver.ErrInvalid, driver.ErrUnavailable},
		{fmt.Errorf("x: %w", ledger.ErrEngineFault), driver.ErrUnavailable, driver.ErrInvalid},
		{other, other, driver.ErrInvalid},
	} {
		if got := kindOf(test.from); !errors.Is(got, test.is) || errors.Is(got, test.not) {
			t.Errorf("%v became %v", test.from, got)
		}
	}
	if kindOf(nil) != nil {
		t.Error("nothing is an error")
	}
}

// TestNewestHeadReplacesTheOneThatWaits: a slow follower never blocks consensus and never sees old heads.
func TestNewestHeadReplacesTheOneThatWaits(t *testing.T) {
	n := &Node{collect: make(chan driver.Advanced, 1)}
	for h := range chain.Height(5) {
		n.advanced(driver.Advanced{Head: chain.Ref{Height: h}})
	}
	if got := <-n.collect; got.Head.Height != 4 || len(n.collect) != 0 {
		t.Errorf("head %d waits, want the newest alone", got.Head.Height)
	}
}

// TestEveryByteOfABodyIsItsHeaders: whoever alters a block in transit is found before consensus judges the block.
func TestEveryByteOfABodyIsItsHeaders(t *testing.T) {
	c := newCarrying(t)
	_, err := c.engine.AddTransactions(t.Context(), [][]byte{c.transfer()})
	must(t, err)
	good := c.grow()
	b := book{c.chain}
	must(t, b.CheckBody(good))
	for name, change := range map[string]func(*block.Block){
		"a transaction is gone": func(b *block.Block) { b.Execution.Payload.Transactions = nil },
		"another state root":    func(b *block.Block) { b.Execution.Payload.StateRoot[0]++ },
		"another gas limit":     func(b *block.Block) { b.Execution.Payload.GasLimit++ },
		"a beacon root":         func(b *block.Block) { b.Execution.ParentBeaconRoot = &chain.Hash{} },
		"requests":              func(b *block.Block) { b.Execution.Requests = [][]byte{{1, 2}} },
		"a deposit":             func(b *block.Block) { b.Deposits = []block.Deposit{{}} },
		"another certificate":   func(b *block.Block) { b.ParentQC.Signature[0]++ },
	} {
		altered := *good
		change(&altered)
		if err := b.CheckBody(&altered); !errors.Is(err, block.ErrMismatch) {
			t.Errorf("%s: got %v, want ErrMismatch", name, err)
		}
	}
}

func TestPluginIsUpAsLongAsOneOfItsGenerationsIs(t *testing.T) {
	w, _ := watching()
	of := func(generation uint64) host.Name {
		return host.Name{Kind: lifecycle.Signer, Label: "a", Generation: generation}
	}
	up := func(want float64, when string) {
		t.Helper()
		if got := value(t, w.metrics.Registry, "alys_plugin_up"); got != want {
			t.Errorf("%s: alys_plugin_up is %v, want %v", when, got, want)
		}
	}
	w.PluginStarted(host.Started{Name: of(1)})
	w.PluginStarted(host.Started{Name: of(2)})
	w.PluginExited(host.Exited{Name: of(1), Asked: true})
	up(1, "after a swap")
	w.PluginExited(host.Exited{Name: of(2)})
	up(0, "after a crash")
	w.PluginExited(host.Exited{Name: of(3)})
	w.PluginStarted(host.Started{Name: of(3)})
	up(0, "after one that ended as it started")
	w.PluginStarted(host.Started{Name: of(4)})
	up(1, "after a restart")
}

func TestWhatIsNotAppliedIsNotReportedAsApplied(t *testing.T) {
	w, events := watching()
	n := &Node{log: hclog.NewNullLogger(), metrics: w.metrics, watch: w}
	n.reported(swap.Report{Cause: "start", Result: swap.ResultFailed, Problem: "it was rejected"}, nil)
	n.reported(swap.Report{}, nil)
	for _, e := range *events {
		if !strings.HasPrefix(e.Text, "configuration not applied") {
			t.Errorf("told %q", e.Text)
		}
	}
	n.reported(swap.Report{Serial: 3, Result: swap.ResultDone, Roles: []swap.Role{"signer"}, Problem: "disk is full"}, nil)
	if len(*events) != 3 || !strings.Contains((*events)[2].Text, "serial 3") {
		t.Errorf("told %+v", *events)
	}
}
