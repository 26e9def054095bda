package devnet_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	corenet "github.com/libp2p/go-libp2p/core/network"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// hostileMemory is by how much a node may grow under any of the attacks. What arrives and what waits to be sent have 160 MB
// between them; the collector lets garbage grow to half of that (cmd/alys/memory.go), and the rest is how far it is late.
const hostileMemory = 384 << 20

// assault is one way to harm a node.
type assault struct {
	name  string
	size  int                                                 // of the mob
	round func(ctx context.Context, m *mob, h *hostile) error // what each peer does again and again
	shows func(t *testing.T, m *mob, grew func(metric string, labels ...string) float64)
}

// TestEndToEndHostilePeers lets peers on a node of three that flood it, never read, never end what they began, or come back
// under new names. The node's memory stays within bounds, what they took is free again when they are gone, the peers are
// limited or banned as each deserves, and the chain has a block in every slot: v1 was killed by one undecodable message
// (D-15), served any number of blocks to anybody (D-32), and stood still for one slow reader (D-33).
func TestEndToEndHostilePeers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	if *hostileFor < time.Minute { // too short for figures, which need the machine for themselves
		t.Parallel()
	}
	nodes := devnet.NewFederation(t, binaries, 3)
	for _, n := range nodes {
		n.Launch()
	}
	height(t, time.Minute, 4, 3, nodes...)
	fatten(t, nodes[0], 10<<20)
	a := attackedBy(t, nodes[0])
	first := nodes[0].Status().Slot
	for _, x := range assaults() {
		t.Run(x.name, func(t *testing.T) { a.suffer(t, x) })
	}
	last := nodes[0].Status().Slot
	head := nodes[0].Status().Head.Height
	height(t, time.Minute, head+2, head, nodes...)
	share, starved := nodes[0].Starved()
	missed := missedSlots(t, nodes, first, last)
	switch {
	case missed == 0:
		t.Logf("a block in each of the %d slots of all attacks", last-first)
	case starved:
		t.Logf("NOT JUDGED: %d of %d slots without a block, and processes of this machine waited for a CPU for %.0f %% of the time", missed, last-first, 100*share)
	default:
		t.Errorf("%d of %d slots without a block (pressure on the CPU: %.0f %% of the time)", missed, last-first, 100*share)
	}
}

// suffer carries out one attack on the node.
func (a *attacked) suffer(t *testing.T, x assault) {
	n := a.node
	before := map[string]float64{}
	sample := func(metric string, labels ...string) float64 {
		return n.Metric(metric, labels...)
	}
	watched := []string{
		"alys_peer_faults_total", `alys_peer_dismissals_total reason="banned"`, `alys_peer_requests_served_total outcome="busy"`,
		`alys_messages_dropped_total reason="over_quota"`,
	}
	key := func(metric string, labels ...string) string {
		return strings.Join(append([]string{metric}, labels...), " ")
	}
	for _, w := range watched {
		metric, label, _ := strings.Cut(w, " ")
		if label == "" {
			before[key(metric)] = sample(metric)
			continue
		}
		before[key(metric, label)] = sample(metric, label)
	}
	grew := func(metric string, labels ...string) float64 {
		return sample(metric, labels...) - before[key(metric, labels...)]
	}
	calm, err := devnet.ReadProcess(n.PID())
	check(t, err)
	goroutines, at := sample("go_goroutines"), n.Status()

	ctx, cancel := context.WithTimeout(t.Context(), *hostileFor)
	defer cancel()
	peak := make(chan uint64, 1)
	go func() { peak <- highest(ctx, n.PID()) }()
	busiest := make(chan float64, 1)
	go func() { busiest <- most(ctx, 500*time.Millisecond, func() float64 { return sample("go_goroutines") }) }()
	m := &mob{attacked: a, t: t, size: x.size}
	m.attack(ctx, func(ctx context.Context, h *hostile) error { return x.round(ctx, m, h) })
	memory, under := <-peak, <-busiest
	recovery := n.Until("what the attack took is free again", time.Minute, func() bool {
		pause(t.Context(), 200*time.Millisecond) // asking costs the node as well
		return sample("go_goroutines") <= goroutines+40
	})
	after, err := devnet.ReadProcess(n.PID())
	check(t, err)
	now := n.Status()
	t.Logf("%d identities admitted, %d rounds; memory %d MB before, %d at most, %d after; goroutines %.0f before, %.0f at most, back after %s; CPU %s; slots %d, blocks %d; faults %.0f, banned %.0f, busy %.0f, over quota %.0f",
		m.admitted.Load(), m.done.Load(), calm.RSS>>20, memory>>20, after.RSS>>20, goroutines, under, recovery.Round(100*time.Millisecond),
		(after.CPU - calm.CPU).Round(10*time.Millisecond), now.Slot-at.Slot, now.Head.Height-at.Head.Height, grew(watched[0]),
		grew("alys_peer_dismissals_total", `reason="banned"`), grew("alys_peer_requests_served_total", `outcome="busy"`),
		grew("alys_messages_dropped_total", `reason="over_quota"`))
	if memory > calm.RSS+hostileMemory {
		t.Errorf("the node grew from %d MB to %d MB", calm.RSS>>20, memory>>20)
	}
	if m.admitted.Load() == 0 {
		t.Error("nobody was let in: nothing was tried")
	}
	if static := staticPeers(n); static != 2 {
		t.Errorf("%d of the other authorities are connected", static)
	}
	if x.shows != nil {
		x.shows(t, m, grew)
	}
}

// highest is the most memory that a process was seen with.
func highest(ctx context.Context, pid int) uint64 {
	return uint64(most(ctx, 20*time.Millisecond, func() float64 {
		p, err := devnet.ReadProcess(pid)
		if err != nil {
			return 0 // the test finds out
		}
		return float64(p.RSS)
	}))
}

// most is the largest value that was seen until ctx ended.
func most(ctx context.Context, every time.Duration, value func() float64) (largest float64) {
	for ctx.Err() == nil {
		largest = max(largest, value())
		pause(ctx, every)
	}
	return largest
}

func staticPeers(n *devnet.Node) (count int) {
	for _, p := range n.Status().Peers {
		if p.Static {
			count++
		}
	}
	return count
}

// missedSlots counts the slots from one up to another without a block, as the chain of the stopped nodes has it.
func missedSlots(t *testing.T, nodes []*devnet.Node, from, to chain.Slot) (missed int) {
	t.Helper()
	oneChain(t, nodes)
	a, err := nodes[1].Audit()
	check(t, err)
	made := map[chain.Slot]bool{}
	for _, b := range a.Blocks {
		made[b.Header.Slot] = true
	}
	for slot := from; slot < to; slot++ {
		if !made[slot] {
			t.Logf("no block in slot %d", slot)
			missed++
		}
	}
	return missed
}

// fatten fills blocks with calls of nothing, so that a range of the chain has so many bytes.
func fatten(t *testing.T, n *devnet.Node, size int) {
	t.Helper()
	w := newWallet(t, n)
	const each = 120 << 10
	nonce := w.nonce()
	var last common.Hash
	for sent := 0; sent < size; sent += each {
		tx, err := types.SignNewTx(w.key, w.signer, &types.DynamicFeeTx{
			ChainID: big.NewInt(spec.DevChainID), Nonce: nonce, GasTipCap: big.NewInt(2e9), GasFeeCap: big.NewInt(100e9), Gas: 2_000_000,
			To: &common.Address{7}, Data: make([]byte, each),
		})
		check(t, err)
		check(t, w.SendTransaction(t.Context(), tx))
		nonce, last = nonce+1, tx.Hash()
	}
	w.mined(last)
}

// errOver is the end of a peer's life by its own wish.
var errOver = errors.New("over")

func assaults() []assault {
	return []assault{
		{"D-15: garbage in gossip", 6, gossipGarbage, func(t *testing.T, m *mob, grew func(string, ...string) float64) {
			if grew("alys_peer_faults_total") < 5 || grew("alys_peer_dismissals_total", `reason="banned"`) == 0 {
				t.Error("garbage is no fault, or faults are no ban")
			}
		}},
		{"votes of nobody", 6, gossipVotes, func(t *testing.T, m *mob, grew func(string, ...string) float64) {
			if grew("alys_peer_dismissals_total", `reason="banned"`) == 0 {
				t.Error("who votes with false signatures is not banned")
			}
		}},
		{"one message for ever, and what gossip asks about itself", 6, gossipRepeats, func(t *testing.T, m *mob, grew func(string, ...string) float64) {
			if grew("alys_messages_dropped_total", `reason="over_quota"`) == 0 {
				t.Error("a flood of repetitions is within the quota")
			}
		}},
		{"transactions of those who have nothing", 4, newPaupers().round, nil},
		{"D-32: floods of requests", 6, requestFlood, func(t *testing.T, m *mob, grew func(string, ...string) float64) {
			if grew("alys_peer_requests_served_total", `outcome="busy"`) == 0 {
				t.Error("nobody was turned away")
			}
		}},
		{"silent streams", 24, silentStreams, nil},
		{"D-33: readers of 10 MiB that never read", 24, neverRead, nil},
		{"messages that do not end", 40, unended, nil},
		{"new names in a loop", 12, func(context.Context, *mob, *hostile) error { return errOver }, nil},
	}
}

// gossipGarbage sends what no decoder takes: noise, and a proposal of the largest size that is none.
func gossipGarbage(ctx context.Context, m *mob, h *hostile) error {
	st, err := h.open(ctx, "gossip")
	if err != nil {
		return err
	}
	defer st.Reset()
	noise := make([]byte, 300)
	_, _ = rand.Read(noise)
	large := make([]byte, 10<<20)
	copy(large, noise)
	large[0] = 1
	binary.BigEndian.PutUint64(large[1:], uint64(m.slot()))
	for topic, message := range map[string][]byte{"votes": noise, "proposals": large, "transactions": noise} {
		raw, err := m.said(topic, message)
		if err != nil {
			return err
		}
		if _, err := st.Write(raw); err != nil {
			return err
		}
	}
	return nil
}

// slot is the wall clock's, of a development chain.
func (a *attacked) slot() chain.Slot { return chain.Slot(time.Now().UnixMilli() / 2000) }

// gossipVotes sends approvals that decode and are of this slot; only their signatures are false.
func gossipVotes(ctx context.Context, m *mob, h *hostile) error {
	st, err := h.open(ctx, "gossip")
	if err != nil {
		return err
	}
	defer st.Reset()
	for n := uint64(0); ctx.Err() == nil; n++ {
		vote, err := m.vote(m.slot(), n)
		if err != nil {
			return err
		}
		raw, err := m.said("votes", vote)
		if err != nil {
			return err
		}
		if _, err := st.Write(raw); err != nil {
			return err
		}
		m.done.Add(1)
		pause(ctx, time.Millisecond)
	}
	return nil
}

// gossipRepeats sends one message over and over, asks for messages that nobody has, and grafts and prunes.
func gossipRepeats(ctx context.Context, m *mob, h *hostile) error {
	st, err := h.open(ctx, "gossip")
	if err != nil {
		return err
	}
	defer st.Reset()
	vote, err := m.vote(m.slot()-100, 7) // of a slot long past: nobody's fault, and nothing worth
	if err != nil {
		return err
	}
	many := make([][]byte, 200)
	for i := range many {
		many[i] = vote
	}
	repeated, err := m.said("votes", many...)
	if err != nil {
		return err
	}
	topic := string(m.id("votes"))
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprintf("%020d", i)
	}
	chatter, err := packet(&pb.RPC{Control: &pb.ControlMessage{
		Ihave: []*pb.ControlIHave{{TopicID: &topic, MessageIDs: ids}}, Iwant: []*pb.ControlIWant{{MessageIDs: ids}},
		Graft: []*pb.ControlGraft{{TopicID: &topic}}, Prune: []*pb.ControlPrune{{TopicID: &topic}},
	}})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if _, err := st.Write(append(slices.Clip(repeated), chatter...)); err != nil {
			return err
		}
		m.done.Add(1)
		pause(ctx, 10*time.Millisecond)
	}
	return nil
}

// paupers sign transactions of accounts without a coin.
type paupers struct {
	mu   sync.Mutex // guards next
	next uint64
}

func newPaupers() *paupers { return &paupers{} }

func (p *paupers) round(ctx context.Context, m *mob, h *hostile) error {
	st, err := h.open(ctx, "gossip")
	if err != nil {
		return err
	}
	defer st.Reset()
	key, err := crypto.GenerateKey()
	if err != nil {
		return err
	}
	signer := types.LatestSignerForChainID(big.NewInt(spec.DevChainID))
	for ctx.Err() == nil {
		var txs [][]byte
		for range 50 {
			p.mu.Lock()
			p.next++
			nonce := p.next
			p.mu.Unlock()
			tx, err := types.SignNewTx(key, signer, &types.DynamicFeeTx{
				ChainID: big.NewInt(spec.DevChainID), Nonce: nonce, GasTipCap: big.NewInt(2e9), GasFeeCap: big.NewInt(100e9), Gas: 21_000, To: &common.Address{7},
			})
			if err != nil {
				return err
			}
			raw, err := tx.MarshalBinary()
			if err != nil {
				return err
			}
			txs = append(txs, raw)
		}
		list, err := rlp.EncodeToBytes(txs)
		if err != nil {
			return err
		}
		raw, err := m.said("transactions", append(binary.BigEndian.AppendUint64(nil, uint64(m.slot())), list...))
		if err != nil {
			return err
		}
		if _, err := st.Write(raw); err != nil {
			return err
		}
		m.done.Add(1)
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

// question is the encoding of a request.
func question(fields ...any) []byte {
	raw, err := rlp.EncodeToBytes(fields)
	if err != nil {
		panic(err) // integers and hashes encode
	}
	return raw
}

// wholeChain asks for as much as a range may have.
func wholeChain() []byte { return question(uint64(1), uint64(1024), uint64(32<<20)) }

// requestFlood asks every question at once, reads the answers and asks again.
func requestFlood(ctx context.Context, m *mob, h *hostile) error {
	hashes := make([]chain.Hash, 16)
	var wg sync.WaitGroup
	for name, content := range map[string][]byte{
		"status": question(), "peers": question(), "blocks_by_range": wholeChain(), "blocks_by_hash": question(hashes),
	} {
		for range 8 {
			wg.Go(func() {
				st, err := h.open(ctx, name)
				if err != nil {
					return
				}
				defer st.Reset()
				_ = st.SetDeadline(time.Now().Add(*hostileFor))
				if putFrame(st, frameRequest, content) == nil {
					_, _ = io.Copy(io.Discard, st)
				}
			})
		}
	}
	wg.Wait()
	return nil
}

// hold opens as many streams as it is let, does something with each, and keeps them until the attack ends.
func hold(ctx context.Context, h *hostile, each int, begin func(st corenet.Stream, name string), names ...string) error {
	var held []corenet.Stream
	for _, name := range names {
		for range each {
			opening, cancel := context.WithTimeout(ctx, 2*time.Second)
			st, err := h.open(opening, name)
			cancel()
			if err != nil {
				break // no more of these
			}
			held = append(held, st)
			go begin(st, name)
		}
	}
	for ctx.Err() == nil && h.Network().Connectedness(h.a.at.ID) == corenet.Connected {
		pause(ctx, 100*time.Millisecond)
	}
	for _, st := range held {
		_ = st.Reset()
	}
	return errOver
}

// silentStreams opens streams of every kind and says nothing.
func silentStreams(ctx context.Context, _ *mob, h *hostile) error {
	return hold(ctx, h, 40, func(corenet.Stream, string) {}, "status", "direct", "blocks_by_range", "blocks_by_hash", "peers", "gossip")
}

// neverRead asks for the whole chain and reads none of it.
func neverRead(ctx context.Context, _ *mob, h *hostile) error {
	return hold(ctx, h, 8, func(st corenet.Stream, _ string) { _ = putFrame(st, frameRequest, wholeChain()) }, "blocks_by_range")
}

// unended begins the largest message and stops short of its end, or in the middle of its length.
func unended(ctx context.Context, _ *mob, h *hostile) error {
	const size = 10<<20 - 1
	most := make([]byte, size-1000)
	return hold(ctx, h, 2, func(st corenet.Stream, name string) {
		switch name {
		case "direct":
			_, _ = st.Write(append(binary.BigEndian.AppendUint32([]byte{frameMessage}, size), most...))
		case "gossip":
			_, _ = st.Write(append(binary.AppendUvarint(nil, size), most...))
		default:
			_, _ = st.Write([]byte{frameRequest, 0, 0})
		}
	}, "direct", "gossip", "blocks_by_range", "status")
}
