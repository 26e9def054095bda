package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// Limits of a measurement: what one that was mistyped may cost.
const (
	maxBenchRate     = 2000
	maxBenchDuration = time.Hour
	maxBenchSwaps    = 100_000
	benchWarmUp      = 2 * time.Second // not counted: connections, caches, the first records
	benchTick        = time.Second     // between two looks at memory
	benchTryTime     = 5 * time.Second
)

// BenchSign implements admin.Bencher. Approvals go the way of real ones (guard, route, plugin, check, guard), under the
// bench genesis: a header of theirs means nothing on the chain, the guard keeps their records apart, and the bench keys
// are nobody's. A development chain alone allows it: the load is real.
func (n *Node) BenchSign(ctx context.Context, r admin.BenchSignRequest, progress func(admin.BenchProgress)) (admin.BenchSignResult, error) {
	if err := n.benchable(r); err != nil {
		return admin.BenchSignResult{}, err
	}
	if !n.benches.CompareAndSwap(false, true) {
		return admin.BenchSignResult{}, &admin.Error{Code: "conflict", Message: "another measurement runs", Hint: "wait for its end"}
	}
	defer n.benches.Store(false)
	if n.swap.Status().Probation != nil {
		return admin.BenchSignResult{}, &admin.Error{Code: "conflict", Message: "a probation runs, which the load would judge", Hint: "wait for its end: `alys status` shows it"}
	}
	var swaps *benchSwaps
	var err error
	if r.Swaps > 0 {
		if swaps, err = n.benchSwaps(ctx, r.With); err != nil {
			return admin.BenchSignResult{}, err
		}
	}
	load, err := n.benchLoad(ctx, r.Rate)
	if err != nil {
		return admin.BenchSignResult{}, err
	}
	return n.bench(ctx, &measurement{request: r, load: load, swaps: swaps, progress: progress})
}

func (n *Node) benchable(r admin.BenchSignRequest) error {
	switch {
	case !n.spec.Dev:
		return &admin.Error{Code: "refused", Message: fmt.Sprintf("chain %s is not for development: nothing is measured on it", n.spec.Name), Hint: "start a chain of your own with `alys dev` and measure there"}
	case !(r.Rate > 0 && r.Rate <= maxBenchRate):
		return &admin.Error{Code: "invalid", Message: fmt.Sprintf("rate %v is not between 0 and %d a second", r.Rate, maxBenchRate)}
	case r.Duration <= 0 || r.Duration > maxBenchDuration:
		return &admin.Error{Code: "invalid", Message: fmt.Sprintf("duration %s is not between 0 and %s", r.Duration, maxBenchDuration)}
	case r.Swaps < 0 || r.Swaps > maxBenchSwaps:
		return &admin.Error{Code: "invalid", Message: fmt.Sprintf("%d swaps are not between 0 and %d", r.Swaps, maxBenchSwaps)}
	}
	return nil
}

// benchLoad makes the load. A signer that does not let itself be measured is told before anything is counted.
func (n *Node) benchLoad(ctx context.Context, rate float64) (*benchLoad, error) {
	genesis := signer.BenchGenesis(n.genesis)
	// Slots of the bench chain are microseconds: one key signs many in a second, and never the same twice.
	slotAt := func(t time.Time) chain.Slot { return chain.Slot(t.UnixMicro()) }
	g, err := guard.Open(ctx, guard.Options{Store: n.store, Genesis: genesis, Now: time.Now, SlotAt: slotAt})
	if err != nil {
		return nil, fmt.Errorf("open guard of the bench chain: %w", err)
	}
	now := n.spec.SlotAt(chain.UnixMilli(time.Now().UnixMilli()))
	a := &authority{
		guard: g, route: n.routes.approvals, slotTime: func(chain.Slot) time.Duration { return n.spec.SlotDuration(now) },
		holds: func(route.ID, signer.KeyID) bool { return true }, // they are not listed
	}
	l := &benchLoad{every: time.Duration(float64(time.Second) / rate), genesis: genesis, slotAt: slotAt, sign: a.Approve}
	for i := range uint8(signer.BenchKeys) {
		key, err := bls.ParseSecretKey(signer.BenchSecret(n.genesis, i))
		if err != nil {
			return nil, fmt.Errorf("bench key %d: %w", i, err)
		}
		l.lanes = append(l.lanes, &benchLane{key: key.Public()})
	}
	return l, n.benchTry(ctx, l)
}

// benchTry asks the signer that serves now for one approval, past the route: one that does not let itself be measured must
// not count as a failure there.
func (n *Node) benchTry(ctx context.Context, l *benchLoad) error {
	primary := n.routes.approvals().Positions().Primary
	if primary == nil {
		return benchRefused(route.ErrNoAnswer)
	}
	s, err := primary.Client()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, benchTryTime)
		defer cancel()
		_, err = s.Approve(ctx, signer.Approval{Key: signer.BLSKey(l.lanes[0].key), Header: l.header(l.lanes[0], 0)})
	}
	if err != nil {
		return benchRefused(err)
	}
	return nil
}

func benchRefused(err error) error {
	if !errors.Is(err, signer.ErrUnknownKey) {
		return &admin.Error{Code: "unavailable", Message: fmt.Sprintf("the signer does not answer: %v", err), Hint: "`alys status` shows the route"}
	}
	return &admin.Error{
		Code: "refused", Message: fmt.Sprintf("a signer of the route does not let itself be measured: %v", err),
		Hint: "write bench = true into its config block, for alys-signer-local, and apply it",
	}
}

// measurement is one run.
type measurement struct {
	request  admin.BenchSignRequest
	load     *benchLoad
	swaps    *benchSwaps // nil: nothing is swapped
	progress func(admin.BenchProgress)
	memory   map[string]uint64
}

// bench runs the load through its parts and evaluates it.
func (n *Node) bench(ctx context.Context, m *measurement) (admin.BenchSignResult, error) {
	m.memory = map[string]uint64{}
	missed, authored := n.watch.missed.Load(), n.watch.authored.Load()
	m.load.start(ctx)
	defer m.load.stop()
	if err := n.benchWait(ctx, m, "warm-up", benchWarmUp); err != nil {
		return admin.BenchSignResult{}, err
	}
	marks := []time.Time{time.Now()}
	if err := n.benchWait(ctx, m, "steady", m.request.Duration); err != nil {
		return admin.BenchSignResult{}, err
	}
	marks = append(marks, time.Now())
	var err error
	if m.swaps != nil {
		err = n.benchSwap(ctx, m)
		marks = append(marks, time.Now())
	}
	m.load.stop()
	if err = errors.Join(err, m.swaps.restore(context.WithoutCancel(ctx))); err != nil {
		return admin.BenchSignResult{}, err
	}
	out := m.result(marks)
	out.MissedSlots, out.ChainBlocks = n.watch.missed.Load()-missed, n.watch.authored.Load()-authored
	out.NodeMemory, err = host.OwnMemory()
	return out, err
}

// benchWait lets the load run for a time.
func (n *Node) benchWait(ctx context.Context, m *measurement, part string, d time.Duration) error {
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(benchTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.benchLook(m, part)
		case <-end.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("measurement ended early: %w", context.Cause(ctx))
		}
	}
}

// benchSwap swaps as often as was asked for, each as soon as the one before has ended.
func (n *Node) benchSwap(ctx context.Context, m *measurement) error {
	looked := time.Now()
	for range m.request.Swaps {
		if ctx.Err() != nil {
			return fmt.Errorf("measurement ended early: %w", context.Cause(ctx))
		}
		if err := m.swaps.next(ctx); err != nil {
			return err
		}
		if err := m.load.failure(); errors.Is(err, signer.ErrUnknownKey) {
			return benchRefused(err)
		}
		if time.Since(looked) >= benchTick {
			looked = time.Now()
			n.benchLook(m, "swapping")
		}
	}
	return nil
}

// benchLook tells how far it is and notes the memory of the signers.
func (n *Node) benchLook(m *measurement, part string) {
	p := admin.BenchProgress{Part: part, Calls: int(m.load.calls.Load()), Failed: int(m.load.failed.Load())}
	if m.swaps != nil {
		p.Swaps = len(m.swaps.reports)
	}
	m.progress(p)
	for _, p := range n.live.all(lifecycle.Signer) {
		if g, err := p.instance.Current(); err == nil {
			m.memory[p.id.String()] = max(m.memory[p.id.String()], g.Stats().RSS)
		}
	}
}

// result evaluates the parts between the marks: steady, then swapping.
func (m *measurement) result(marks []time.Time) admin.BenchSignResult {
	out := admin.BenchSignResult{
		Rate: m.request.Rate, Steady: m.load.part(marks[0], marks[1]), PluginMemory: m.memory,
	}
	if err := m.load.failure(); err != nil {
		out.FirstFailure = err.Error()
	}
	if m.swaps == nil {
		return out
	}
	swapping := m.load.part(marks[1], marks[2])
	out.Swapping, out.Swaps, out.Steps = &swapping, len(m.swaps.reports), m.swaps.steps()
	if out.Steady.P999 > 0 {
		out.Ratio = swapping.P999 / out.Steady.P999
	}
	return out
}
