package node

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

// benchLoad asks for approvals on a fixed schedule, whether or not the answers keep up: call i is due at i times the
// interval, and its time counts from there. The calls go round the lanes; within a lane, which is one key, they go one
// after the other, because the slots of a key must increase.
type benchLoad struct {
	every   time.Duration
	genesis chain.Hash
	slotAt  func(time.Time) chain.Slot
	sign    func(context.Context, chain.BLSPublicKey, chain.Header) (chain.BLSSignature, error)
	lanes   []*benchLane

	calls, failed atomic.Int64
	quit          chan struct{} // closed by stop
	quitOnce      sync.Once
	running       sync.WaitGroup

	mu    sync.Mutex
	first error // the first failure; guarded by mu
}

// benchLane is one key and its calls. Its goroutine owns it until stop has returned.
type benchLane struct {
	key     chain.BLSPublicKey
	slot    chain.Slot
	samples []benchSample
}

// benchSample is one call.
type benchSample struct {
	answered time.Time
	took     time.Duration // from when it was due
	failed   bool
}

// start begins the schedule.
func (l *benchLoad) start(ctx context.Context) {
	l.quit = make(chan struct{})
	begin := time.Now().Add(l.every)
	for i, lane := range l.lanes {
		l.running.Go(func() { l.run(ctx, lane, begin, i) })
	}
}

// stop ends the schedule and waits for the calls that are under way. It is idempotent.
func (l *benchLoad) stop() {
	l.quitOnce.Do(func() { close(l.quit) })
	l.running.Wait()
}

func (l *benchLoad) run(ctx context.Context, lane *benchLane, begin time.Time, first int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := first; ; i += len(l.lanes) {
		due := begin.Add(time.Duration(i) * l.every)
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-l.quit:
			return
		case <-ctx.Done():
			return
		}
		_, err := l.approve(ctx, lane, uint64(i))
		if ctx.Err() != nil {
			return // nobody waits for it any more
		}
		now := time.Now()
		lane.samples = append(lane.samples, benchSample{answered: now, took: now.Sub(due), failed: err != nil})
		l.calls.Add(1)
		if err != nil {
			l.failed.Add(1)
			l.fail(err)
		}
	}
}

// approve asks for the approval of a block that never was.
func (l *benchLoad) approve(ctx context.Context, lane *benchLane, i uint64) (chain.BLSSignature, error) {
	return l.sign(ctx, lane.key, l.header(lane, i))
}

func (l *benchLoad) header(lane *benchLane, i uint64) chain.Header {
	lane.slot = max(lane.slot+1, l.slotAt(time.Now()))
	h := chain.Header{Version: chain.HeaderVersion, Genesis: l.genesis, Slot: lane.slot, Height: 1}
	binary.BigEndian.PutUint64(h.BodyRoot[:], i)
	return h
}

func (l *benchLoad) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
	}
}

// failure is the first call that failed, or nil.
func (l *benchLoad) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// part evaluates the calls that were answered between two moments. It is for a load that was stopped.
func (l *benchLoad) part(from, to time.Time) admin.BenchCalls {
	out := admin.BenchCalls{Seconds: to.Sub(from).Seconds(), Due: int(to.Sub(from) / l.every)}
	var took []time.Duration
	answers := []time.Time{from, to}
	for _, lane := range l.lanes {
		for _, s := range lane.samples {
			if s.answered.Before(from) || s.answered.After(to) {
				continue
			}
			out.Calls++
			if s.failed {
				out.Failed++
			}
			took = append(took, s.took)
			answers = append(answers, s.answered)
		}
	}
	slices.Sort(took)
	slices.SortFunc(answers, time.Time.Compare)
	for i, t := range answers[1:] {
		out.Gap = max(out.Gap, t.Sub(answers[i]).Seconds())
	}
	out.P50, out.P99, out.P999, out.Max = quantile(took, 0.5), quantile(took, 0.99), quantile(took, 0.999), quantile(took, 1)
	return out
}

// quantile is route.Quantile in seconds.
func quantile(sorted []time.Duration, q float64) float64 { return route.Quantile(sorted, q).Seconds() }
