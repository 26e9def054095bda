package devnet_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// timekeeper is a peer in this process that has nothing but a clock.
type timekeeper struct {
	genesis *block.Block
	ahead   atomic.Int64 // of the true time, a time.Duration
	address string
}

// startTimekeeper serves a clock on loopback. Its wall clock has no monotonic part, as that of a clock that was set.
func startTimekeeper(t *testing.T, ahead time.Duration) *timekeeper {
	t.Helper()
	s := spec.Dev()
	genesis, err := s.Genesis()
	check(t, err)
	k := &timekeeper{genesis: genesis}
	k.set(ahead)
	dir := t.TempDir()
	n, err := network.Open(network.Options{
		Genesis: genesis.Header.Hash(), KeyFile: filepath.Join(dir, "p2p.key"), BookFile: filepath.Join(dir, "peers.json"),
		Listen: "127.0.0.1:0", Client: "timekeeper", Source: k,
		Take:             func(context.Context, network.Message) network.Verdict { return network.Ignore },
		TakeTransactions: func(context.Context, consensus.Peer, [][]byte) network.Verdict { return network.Ignore },
		Slot:             func() chain.Slot { return s.SlotAt(chain.UnixMilli(time.Now().UnixMilli())) },
		Now:              func() time.Time { return time.Now().Round(0).Add(time.Duration(k.ahead.Load())) },
	})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background()) // ends at cleanup, after the node that is served
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, errors.Join(<-done, n.Close()))
	})
	k.address = n.Addresses()[0]
	return k
}

func (k *timekeeper) set(ahead time.Duration) { k.ahead.Store(int64(ahead)) }

// Status implements network.Source.
func (k *timekeeper) Status() network.Status {
	return network.Status{ChainID: spec.DevChainID, Head: consensus.Certificate{Header: k.genesis.Header, QC: block.QC{Block: k.genesis.Header.Hash()}}}
}

// At implements network.Source.
func (k *timekeeper) At(context.Context, chain.Height) (network.Stored, error) {
	return network.Stored{}, network.ErrNotFound
}

// Block implements network.Source.
func (k *timekeeper) Block(context.Context, chain.Hash) (network.Stored, error) {
	return network.Stored{}, network.ErrNotFound
}

// Certificate implements network.Source.
func (k *timekeeper) Certificate(context.Context, chain.Hash) (block.QC, error) {
	return block.QC{}, network.ErrNotFound
}

// D-02: v1 compared no slot with a clock. A node whose clock is off what its configured peers say approves nothing, says so
// in every place where it is looked for, and goes on by itself once the clock is right. Any number of strangers with
// another time change nothing: identities are free, and stopping an authority must not be.
func TestEndToEndD02_NothingIsApprovedWhileTheClockIsOff(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	named := []*timekeeper{startTimekeeper(t, 0), startTimekeeper(t, 0)}
	const strangers = 8
	var static, boot strings.Builder
	for _, k := range named {
		fmt.Fprintf(&static, "    %q,\n", k.address)
	}
	for range strangers {
		fmt.Fprintf(&boot, "    %q,\n", startTimekeeper(t, time.Hour).address)
	}
	n := devnet.New(t, binaries, "network {\n  mdns = false\n  static_peers = [\n"+static.String()+"  ]\n  bootnodes = [\n"+boot.String()+"  ]\n}\n")
	n.Start()
	n.Until("everybody is connected", time.Minute, func() bool { s, ok := n.TryStatus(); return ok && len(s.Peers) == len(named)+strangers })
	n.UntilBlocks(2)
	if s := n.Status(); !s.Ready || n.Metric("alys_clock_peers") != 2 {
		t.Fatalf("with strangers of another time: ready %v %q, %v peers' clocks count", s.Ready, s.Reasons, n.Metric("alys_clock_peers"))
	}

	for _, k := range named {
		k.set(3 * time.Second)
	}
	const why = "behind the median of 2 configured peers"
	n.Until("the node says that its clock is off", time.Minute, func() bool {
		s, ok := n.TryStatus()
		return ok && !s.Ready && strings.Contains(strings.Join(s.Reasons, "\n"), why)
	})
	n.Until("the metric says so", 10*time.Second, func() bool { m := n.Metric("alys_clock_skew_seconds"); return m > 2 && m < 4 })
	// What was under way when the clock went off may still have become a block.
	slot := n.Status().Slot + 1
	n.Until("the slot ends", time.Minute, func() bool { return n.Status().Slot > slot })
	stopped := n.Status().Head.Height
	n.Until("slots pass", time.Minute, func() bool { return n.Status().Slot > slot+3 })
	if got := n.Status().Head.Height; got != stopped {
		t.Errorf("the chain grew from %d to %d", stopped, got)
	}
	log := n.LogTail(1 << 20)
	if alarms := strings.Count(log, "ALARM: the clock of this machine"); alarms != 1 {
		t.Errorf("%d alarms", alarms)
	}
	if !strings.Contains(log, "reason=clock_skew") {
		t.Error("no refusal of the guard in the log")
	}

	for _, k := range named {
		k.set(0)
	}
	n.UntilBlocks(2)
	if s := n.Status(); !s.Ready {
		t.Errorf("after the clock is right again: %q", s.Reasons)
	}
	n.Until("it says that the clock is right", 10*time.Second, func() bool {
		return strings.Contains(n.LogTail(1<<20), "the clock of this machine is right again")
	})
}
