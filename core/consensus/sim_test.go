package consensus_test

import (
	"container/heap"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

var (
	seeds     = flag.Int("seeds", 0, "schedules for each shape of TestSimulation; 0 means a small set")
	schedules = flag.Int("schedules", 0, "schedules of TestSimulation in all, shared out among the shapes; 0 means as -seeds says")
	firstSeed = flag.Uint64("seed", 1, "first seed of TestSimulation")
)

const second = chain.UnixMilli(1000)

// shape is a family of schedules.
type shape struct {
	n         int
	dead      bool // one authority is dead for good
	byzantine int  // authorities that break the rules
}

func (s shape) String() string {
	name := fmt.Sprintf("n=%d", s.n)
	if s.dead {
		name += ",one_dead"
	}
	if s.byzantine > 0 {
		name += fmt.Sprintf(",byzantine=%d", s.byzantine)
	}
	return name
}

// shapes are all that TestSimulation tries: every size, in fair weather of the authorities, with one of them dead where
// the others can go on, and with as many Byzantine (and dead) as the size bears.
var shapes = []shape{
	{n: 1},
	{n: 2},
	{n: 3},
	{n: 3, dead: true},
	{n: 4},
	{n: 4, dead: true},
	{n: 4, byzantine: 1},
	{n: 6},
	{n: 6, dead: true},
	{n: 6, byzantine: 1},
	{n: 7},
	{n: 7, dead: true},
	{n: 7, byzantine: 2},
	{n: 7, dead: true, byzantine: 1},
	{n: 15},
	{n: 15, dead: true},
	{n: 15, byzantine: 4},
	{n: 15, dead: true, byzantine: 3},
}

// share is a shape's part of what is asked for. A schedule costs as the square of its size: the large ones get fewer.
func (s shape) share() float64 { return 1 / float64(max(s.n, 3)) }

// count is how many schedules of a shape are run.
func (s shape) count() int {
	switch {
	case *schedules > 0:
		all := 0.0
		for _, x := range shapes {
			all += x.share()
		}
		return max(1, int(math.Ceil(float64(*schedules)*s.share()/all)))
	case *seeds > 0:
		return *seeds
	}
	return 60 / s.n
}

// TestSimulation runs whole networks on seeded schedules: first chaos (delay, loss, duplication, reordering,
// partitions, crashes that lose all that was not durable, clocks that differ and jump), then a healed network. Safety is
// asserted throughout, liveness after healing. Run one with -run 'TestSimulation/shapes/n=4$' -seeds 1 -seed N. It tells how many
// schedules had which fault, and what came of them.
func TestSimulation(t *testing.T) {
	var mu sync.Mutex // guards what is told
	told := map[shape]*tally{}
	t.Run("shapes", func(t *testing.T) {
		for _, s := range shapes {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				sum := &tally{faults: map[string]int{}}
				for i := range s.count() {
					seed := *firstSeed + uint64(i)
					w := newWorld(s, seed)
					err := w.run()
					if err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
					sum.add(w, err)
				}
				mu.Lock()
				defer mu.Unlock()
				told[s] = sum
			})
		}
	})
	tell(t, told)
}

// tally is what came of the schedules of a shape.
type tally struct {
	schedules, failures int
	blocks              uint64         // made by anybody
	safe                int            // heights made safe by an honest node
	faults              map[string]int // schedules that had each
}

func (y *tally) add(w *world, err error) {
	y.schedules++
	if err != nil {
		y.failures++
	}
	y.blocks += w.made
	y.safe += len(w.safe)
	for _, f := range w.faults() {
		y.faults[f]++
	}
}

// faultNames are what schedules are counted by, in the order of the table.
var faultNames = []string{"delay>slot", "asymmetric", "loss", "twice", "split", "crash", "jump", "dead", "byzantine"}

// faults names what a schedule had. Messages overtake each other and clocks differ in all of them.
func (w *world) faults() []string {
	f := w.weather
	had := map[string]bool{
		"delay>slot": f.maxDelay > 2*second, "asymmetric": f.constant != nil, "loss": f.loss > 0, "twice": f.twice > 0,
		"split": len(f.split) > 0, "crash": f.crash > 0, "jump": f.jumps, "dead": w.shape.dead, "byzantine": w.shape.byzantine > 0,
	}
	return slices.DeleteFunc(slices.Clone(faultNames), func(name string) bool { return !had[name] })
}

// tell prints one line a shape and their sum.
func tell(t *testing.T, told map[shape]*tally) {
	t.Helper()
	all := &tally{faults: map[string]int{}}
	line := func(name string, y *tally) string {
		out := fmt.Sprintf("%-24s %9d %8d %10d %10d", name, y.schedules, y.failures, y.blocks, y.safe)
		for _, f := range faultNames {
			out += fmt.Sprintf(" %10d", y.faults[f])
		}
		return out
	}
	head := fmt.Sprintf("%-24s %9s %8s %10s %10s", "schedules of", "run", "failed", "blocks", "safe")
	for _, f := range faultNames {
		head += fmt.Sprintf(" %10s", f)
	}
	lines := []string{head}
	for _, s := range shapes {
		y := told[s]
		if y == nil {
			continue // -run left it out
		}
		lines = append(lines, line(s.String(), y))
		all.schedules, all.failures, all.blocks, all.safe = all.schedules+y.schedules, all.failures+y.failures, all.blocks+y.blocks, all.safe+y.safe
		for f, count := range y.faults {
			all.faults[f] += count
		}
	}
	t.Log("\n" + strings.Join(append(lines, line("all", all)), "\n"))
}

type world struct {
	shape    shape
	rng      *rand.Rand
	now      chain.UnixMilli
	heal     chain.UnixMilli
	end      chain.UnixMilli
	queue    eventQueue
	order    int
	schedule *toySchedule
	verifier consensus.Verifier
	sign     func(authority int, hash chain.Hash) chain.BLSSignature
	nodes    []*simNode
	headers  map[chain.Hash]chain.Header // of all blocks ever made
	safe     map[chain.Height]chain.Hash // of all honest nodes
	weather  weather
	err      error
	made     uint64
}

// weather is how bad the network is before it heals.
type weather struct {
	minDelay, maxDelay chain.UnixMilli
	constant           [][]chain.UnixMilli // of each direction, if not nil
	loss, twice        float64
	crash              float64 // chance per node and second
	split              [][2]chain.UnixMilli
	side               []int
	jumps              bool
}

type simEvent struct {
	at    chain.UnixMilli
	order int
	run   func()
}

type eventQueue []simEvent

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(simEvent)) }
func (q *eventQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func newWorld(s shape, seed uint64) *world {
	kind := uint64(s.n)<<8 | uint64(s.byzantine) // each shape has schedules of its own
	if s.dead {
		kind |= 1 << 16
	}
	w := &world{
		shape: s, rng: rand.New(rand.NewPCG(seed, kind)), schedule: newSchedule(s.n),
		headers: map[chain.Hash]chain.Header{genesisHeader.Hash(): genesisHeader}, safe: map[chain.Height]chain.Hash{},
	}
	w.verifier = fakeScheme{}
	w.sign = func(i int, hash chain.Hash) chain.BLSSignature { return fakeSign(fakeKey(i), hash) }
	w.now = 1_000_000*second + chain.UnixMilli(w.rng.IntN(4000))
	w.heal = w.now + 60*second
	w.end = w.heal + 120*second
	w.weather = w.makeWeather()
	for i := range s.n {
		skew := chain.UnixMilli(w.rng.IntN(400) - 200)
		n := &simNode{w: w, id: i, skew: skew, disk: newDisk(), byzantine: i < s.byzantine}
		w.nodes = append(w.nodes, n)
	}
	w.rng.Shuffle(s.n, func(i, j int) {
		w.nodes[i].byzantine, w.nodes[j].byzantine = w.nodes[j].byzantine, w.nodes[i].byzantine
	})
	if s.dead {
		w.nodes[w.rng.IntN(s.n)].dead = true
	}
	return w
}

func (w *world) makeWeather() weather {
	f := weather{minDelay: 5, maxDelay: []chain.UnixMilli{50, 300, 1500, 6000}[w.rng.IntN(4)]}
	if w.rng.IntN(2) == 0 {
		f.loss = w.rng.Float64() * 0.4
	}
	if w.rng.IntN(2) == 0 {
		f.twice = w.rng.Float64() * 0.3
	}
	if w.rng.IntN(3) == 0 {
		f.crash = 0.05
	}
	f.jumps = w.rng.IntN(4) == 0
	if w.rng.IntN(4) == 0 { // constant asymmetric delays of up to three slots
		for range w.shape.n {
			row := make([]chain.UnixMilli, w.shape.n)
			for j := range row {
				row[j] = chain.UnixMilli(w.rng.IntN(6000))
			}
			f.constant = append(f.constant, row)
		}
	}
	if w.rng.IntN(2) == 0 {
		for range 1 + w.rng.IntN(3) {
			from := w.now + chain.UnixMilli(w.rng.IntN(50_000))
			f.split = append(f.split, [2]chain.UnixMilli{from, from + chain.UnixMilli(w.rng.IntN(30_000))})
		}
		for range w.shape.n {
			f.side = append(f.side, w.rng.IntN(2))
		}
	}
	return f
}

func (w *world) after(d chain.UnixMilli, run func()) {
	w.order++
	heap.Push(&w.queue, simEvent{at: w.now + max(d, 0), order: w.order, run: run})
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %d: %w", w.now, fmt.Errorf(format, args...))
	}
}

func (w *world) run() error {
	for _, n := range w.nodes {
		if !n.dead {
			w.after(chain.UnixMilli(w.rng.IntN(1000)), n.start)
		}
	}
	w.after(second, w.chaos)
	for w.err == nil && len(w.queue) > 0 && w.queue[0].at < w.end {
		e := heap.Pop(&w.queue).(simEvent)
		w.now = e.at
		e.run()
	}
	if w.err == nil {
		w.checkLiveness()
	}
	return w.err
}

// chaos happens once a second until the network heals.
func (w *world) chaos() {
	if w.now >= w.heal {
		for _, n := range w.nodes {
			n.jump = 0
			if !n.dead && n.m == nil {
				n.start()
			}
		}
		return
	}
	for _, n := range w.nodes {
		if n.m != nil && w.rng.Float64() < w.weather.crash {
			n.crash()
			w.after(chain.UnixMilli(w.rng.IntN(8000)), func() {
				if n.m == nil {
					n.start()
				}
			})
		}
		if w.weather.jumps && w.rng.IntN(20) == 0 {
			n.jump = chain.UnixMilli(w.rng.IntN(8000) - 4000)
		}
	}
	w.after(second, w.chaos)
}

// checkLiveness demands that every honest node has a recent safe block.
func (w *world) checkLiveness() {
	for _, n := range w.nodes {
		if n.dead || n.byzantine {
			continue
		}
		if n.m == nil {
			w.fail("node %d is down at the end", n.id)
			return
		}
		safe := w.headers[n.m.Safe().Hash]
		now := w.schedule.SlotAt(w.end)
		if behind := now - safe.Slot; behind > chain.Slot(4*w.shape.n+8) {
			w.fail("node %d: safe block %d of slot %d is %d slots old (head %d)", n.id, safe.Height, safe.Slot, behind,
				n.m.Head().Height)
		}
	}
}

// transmit carries a message over the network.
func (w *world) transmit(from, to int, deliver func()) {
	if w.now >= w.heal {
		w.after(5+chain.UnixMilli(w.rng.IntN(95)), deliver)
		return
	}
	f := w.weather
	for _, s := range f.split {
		if s[0] <= w.now && w.now < s[1] && f.side[from] != f.side[to] {
			return
		}
	}
	times := 1
	if w.rng.Float64() < f.twice {
		times = 2
	}
	for range times {
		if w.rng.Float64() < f.loss {
			continue
		}
		delay := f.minDelay + chain.UnixMilli(w.rng.Int64N(int64(f.maxDelay)))
		if f.constant != nil {
			delay = f.constant[from][to]
		}
		w.after(delay, deliver)
	}
}

// disk is what survives a crash.
type disk struct {
	safe   consensus.Certificate
	blocks map[chain.Hash]consensus.RestoredBlock
	certs  map[chain.Hash]consensus.Certificate
	guard  consensus.OwnApproval
}

func newDisk() *disk {
	return &disk{blocks: map[chain.Hash]consensus.RestoredBlock{}, certs: map[chain.Hash]consensus.Certificate{}}
}

type simNode struct {
	w               *world
	id              int
	skew, jump      chain.UnixMilli
	dead, byzantine bool
	disk            *disk
	m               *consensus.Machine
	life            int
	bodies          map[chain.Hash]consensus.Proposal
	head            chain.Height
	judging         map[chain.Hash]bool
	evil            map[chain.Slot]bool               // of a Byzantine node: slots it made blocks for
	seen            map[chain.Hash]consensus.Proposal // and all blocks it has ever had
}

func (n *simNode) peer() consensus.Peer { return consensus.Peer(fmt.Sprint(n.id)) }

func (n *simNode) crash() {
	n.m, n.bodies = nil, nil
	n.life++
}

func (n *simNode) start() {
	cfg := consensus.Config{Genesis: genesisHeader, Schedule: n.w.schedule, Verifier: n.w.verifier}
	if !n.byzantine {
		cfg.Self = []chain.BLSPublicKey{n.w.schedule.sets[0].Keys[n.id]}
	}
	r := consensus.Restored{Safe: n.disk.safe}
	for _, h := range sortedHashes(n.disk.blocks) {
		b := n.disk.blocks[h]
		if n.w.rng.IntN(2) == 0 {
			b.Verdict = consensus.VerdictUnknown // the engine lost it
		}
		r.Blocks = append(r.Blocks, b)
	}
	for _, h := range sortedHashes(n.disk.certs) {
		r.Certificates = append(r.Certificates, n.disk.certs[h])
	}
	if n.disk.guard.Header.Height > 0 {
		r.Approvals = append(r.Approvals, n.disk.guard)
	}
	m, err := consensus.New(cfg, r)
	if err != nil {
		n.w.fail("node %d: %v", n.id, err)
		return
	}
	n.m, n.bodies, n.head = m, map[chain.Hash]consensus.Proposal{}, 0
	n.judging = map[chain.Hash]bool{}
	n.life++
	n.tick(n.life)
}

// later runs f unless the node has crashed in between.
func (n *simNode) later(d chain.UnixMilli, f func()) {
	life := n.life
	n.w.after(d, func() {
		if n.life == life && n.m != nil {
			f()
		}
	})
}

func (n *simNode) tick(life int) {
	if n.life != life || n.m == nil {
		return
	}
	n.step(consensus.Tick{})
	if n.m == nil {
		return
	}
	wait := n.m.NextWake() - n.clock()
	n.w.after(min(max(wait, 1), 500), func() { n.tick(life) })
}

func (n *simNode) clock() chain.UnixMilli { return n.w.now + n.skew + n.jump }

func (n *simNode) step(ev consensus.Event) {
	for _, e := range n.m.Step(consensus.Input{Now: n.clock(), Event: ev}) {
		n.carryOut(e)
	}
	if n.byzantine {
		n.misbehave()
	}
}

func (n *simNode) carryOut(e consensus.Effect) {
	w := n.w
	switch e := e.(type) {
	case consensus.Build:
		n.build(e)
	case consensus.Judge:
		n.judge(e.Header)
	case consensus.Persist:
		n.disk.certs[e.Certificate.QC.Block] = e.Certificate
	case consensus.Sign:
		n.sign(e)
	case consensus.SendProposal:
		n.broadcast(func(to *simNode) { to.receive(consensus.ProposalReceived{Proposal: e.Proposal, From: n.peer()}) })
	case consensus.SendApproval:
		n.broadcast(func(to *simNode) { to.receive(consensus.ApprovalReceived{Approval: e.Approval, From: n.peer()}) })
	case consensus.SendCertificate:
		n.broadcast(func(to *simNode) {
			to.receive(consensus.CertificateReceived{Certificate: e.Certificate, From: n.peer()})
		})
	case consensus.Fetch:
		n.fetch(e)
	case consensus.Behind:
		n.catchUp()
	case consensus.Advance:
		n.advance(e)
	case consensus.Evidence:
		if w.shape.byzantine == 0 {
			w.fail("node %d: evidence against an honest key", n.id)
		}
	case consensus.Refuse:
		n.refused(e)
	case consensus.Drop:
		delete(n.bodies, e.Hash)
		delete(n.judging, e.Hash)
		if e.Delete {
			delete(n.disk.blocks, e.Hash)
		}
	case consensus.Halt:
		w.fail("node %d halts: %s", n.id, e.Reason)
	}
}

func (n *simNode) receive(ev consensus.Event) {
	if n.m == nil {
		return
	}
	if p, ok := ev.(consensus.ProposalReceived); ok {
		n.bodies[p.Proposal.Header.Hash()] = p.Proposal
	}
	n.step(ev)
}

func (n *simNode) broadcast(deliver func(*simNode)) {
	for _, to := range n.w.nodes {
		if to != n {
			n.w.transmit(n.id, to.id, func() { deliver(to) })
		}
	}
}

// make makes a block that nobody else makes.
func (w *world) make(parent chain.Header, height chain.Height, qc block.QC, slot chain.Slot, valid bool) consensus.Proposal {
	w.made++
	h := chain.Header{
		Version: chain.HeaderVersion, Genesis: genesisHeader.Hash(), Slot: slot, Height: height,
		Parent: parent.Hash(), ParentQC: qc.Hash(),
	}
	binary.BigEndian.PutUint64(h.PayloadHash[:], w.made)
	if !valid {
		h.BodyRoot = chain.Hash{0xba, 0xd0}
	}
	w.headers[h.Hash()] = h
	return consensus.Proposal{Header: h, ParentQC: qc}
}

func (n *simNode) build(b consensus.Build) {
	if _, durable := n.disk.certs[b.Parent.Hash()]; b.Parent.Height > n.m.Safe().Height && !durable {
		n.w.fail("node %d builds on a certificate that is not durable", n.id)
	}
	n.later(chain.UnixMilli(n.w.rng.IntN(80)), func() {
		if n.w.rng.IntN(50) == 0 {
			n.step(consensus.BuildFailed{Slot: b.Slot})
			return
		}
		p := n.w.make(b.Parent, b.Parent.Height+1, b.ParentQC, b.Slot, true)
		n.bodies[p.Header.Hash()] = p
		n.step(consensus.Built{Header: p.Header, ParentQC: p.ParentQC})
	})
}

func (n *simNode) judge(h chain.Header) {
	hash := h.Hash()
	if parent, ok := n.disk.blocks[h.Parent]; h.Parent != n.m.Safe().Hash && (!ok || parent.Verdict < consensus.VerdictValid) {
		n.w.fail("node %d judges block %d before its parent", n.id, h.Height)
	}
	n.judging[hash] = true
	n.later(chain.UnixMilli(n.w.rng.IntN(60)), func() {
		if !n.judging[hash] {
			return // dropped meanwhile
		}
		verdict := consensus.VerdictApprovable
		switch p, ok := n.bodies[hash]; {
		case n.w.rng.IntN(40) == 0:
			verdict = consensus.VerdictUnknown
		case h.BodyRoot[0] == 0xba:
			verdict = consensus.VerdictInvalid
		case ok:
			n.disk.blocks[hash] = consensus.RestoredBlock{Proposal: p, Verdict: verdict}
		default: // restored, and judged again
			b, stored := n.disk.blocks[hash]
			if !stored {
				n.w.fail("node %d is to judge block %d, whose body it was told to drop or never had", n.id, h.Height)
				return
			}
			b.Verdict = verdict
			n.disk.blocks[hash] = b
		}
		n.step(consensus.Judged{Hash: hash, Verdict: verdict})
	})
}

// sign is guard and signer.
func (n *simNode) sign(s consensus.Sign) {
	g, hash := &n.disk.guard, s.Header.Hash()
	stored, durable := n.disk.blocks[hash]
	if !durable || stored.Verdict != consensus.VerdictApprovable {
		n.w.fail("node %d is asked to sign a block that is not durable", n.id)
	}
	if g.Header.Hash() != hash && (s.Header.Slot <= g.Header.Slot || s.Header.Height < g.Header.Height) {
		n.w.fail("node %d is asked to sign slot %d height %d after slot %d height %d", n.id, s.Header.Slot, s.Header.Height,
			g.Header.Slot, g.Header.Height)
	}
	if s.Header.Slot > n.w.schedule.SlotAt(n.clock()) {
		n.w.fail("node %d is asked to sign slot %d ahead of its clock", n.id, s.Header.Slot)
	}
	*g = consensus.OwnApproval{Key: s.Key, Header: s.Header}
	n.later(chain.UnixMilli(n.w.rng.IntN(30)), func() {
		if n.w.rng.IntN(40) == 0 {
			n.step(consensus.NotSigned{Hash: hash, Key: s.Key})
			return
		}
		signature := n.w.sign(n.id, hash)
		if g.Header.Hash() == hash {
			g.Signature = signature
		}
		n.step(consensus.Signed{Hash: hash, Key: s.Key, Signature: signature})
	})
}

func (n *simNode) fetch(f consensus.Fetch) {
	to := n.w.nodes[n.w.rng.IntN(len(n.w.nodes))]
	for _, x := range n.w.nodes {
		if x.peer() == f.From {
			to = x
		}
	}
	answered := false
	life := n.life
	answer := func(ev consensus.Fetched) {
		if answered || n.life != life || n.m == nil {
			return
		}
		answered = true
		if ev.Found {
			n.bodies[f.Hash] = ev.Proposal
		}
		n.step(ev)
	}
	if to != n {
		n.w.transmit(n.id, to.id, func() {
			if to.m == nil {
				return
			}
			ev := consensus.Fetched{Hash: f.Hash, From: to.peer()}
			ev.Proposal, ev.Found = to.find(f.Hash)
			n.w.transmit(to.id, n.id, func() { answer(ev) })
		})
	}
	n.later(800, func() { answer(consensus.Fetched{Hash: f.Hash}) })
}

func (n *simNode) find(hash chain.Hash) (consensus.Proposal, bool) {
	if b, ok := n.disk.blocks[hash]; ok {
		return b.Proposal, true
	}
	if p, ok := n.bodies[hash]; ok {
		return p, true
	}
	p, ok := n.seen[hash]
	return p, ok
}

// catchUp is sync: a peer's whole chain, imported in order.
func (n *simNode) catchUp() {
	from := n.w.nodes[n.w.rng.IntN(len(n.w.nodes))]
	if from == n || from.m == nil || from.byzantine {
		return
	}
	n.w.transmit(from.id, n.id, func() {
		if n.m == nil || from.m == nil {
			return
		}
		var path []consensus.Proposal
		for h := from.m.Head().Hash; h != n.m.Safe().Hash; {
			b, ok := from.disk.blocks[h]
			if !ok {
				return
			}
			path = append(path, b.Proposal)
			h = b.Proposal.Header.Parent
		}
		slices.Reverse(path)
		for len(path) > 0 {
			run := path[:1+n.w.rng.IntN(len(path))]
			path = path[len(run):]
			for _, p := range run {
				n.disk.blocks[p.Header.Hash()] = consensus.RestoredBlock{Proposal: p, Verdict: consensus.VerdictValid}
			}
			ev := consensus.Imported{Run: run}
			if c, ok := from.disk.certs[run[len(run)-1].Header.Hash()]; ok {
				ev.QC = &c.QC
			}
			n.step(ev)
		}
	})
}

func (n *simNode) refused(r consensus.Refuse) {
	if r.Fault && n.w.shape.byzantine == 0 {
		n.w.fail("node %d blames honest node %s: %s", n.id, r.From, r.Reason)
	}
	if r.Higher == nil {
		return
	}
	for _, to := range n.w.nodes {
		if to.peer() == r.From {
			n.w.transmit(n.id, to.id, func() {
				to.receive(consensus.CertificateReceived{Certificate: *r.Higher, From: n.peer()})
			})
		}
	}
}

func (n *simNode) advance(a consensus.Advance) {
	w := n.w
	if b, ok := n.disk.blocks[a.Head.Hash]; a.Head.Height > 0 && (!ok || b.Verdict < consensus.VerdictValid) {
		w.fail("node %d: head %d is not imported", n.id, a.Head.Height)
	}
	if c, ok := n.disk.certs[a.Head.Hash]; a.Head.Height > 0 && (!ok || c.QC.Block != a.Head.Hash) {
		w.fail("node %d: the certificate of head %d is not durable", n.id, a.Head.Height)
	}
	if a.Head.Height < n.head {
		w.fail("node %d: head falls from %d to %d", n.id, n.head, a.Head.Height)
	}
	n.head = a.Head.Height
	onChain := false
	for h := w.headers[a.Head.Hash]; h.Height >= a.Safe.Height; h = w.headers[h.Parent] {
		if h.Hash() == a.Safe.Hash {
			onChain = true
			break
		}
	}
	if !onChain {
		w.fail("node %d: head %d is not on safe %d", n.id, a.Head.Height, a.Safe.Height)
	}
	if n.byzantine {
		return
	}
	for h := w.headers[a.Safe.Hash]; h.Height > 0; h = w.headers[h.Parent] {
		hash := h.Hash()
		known, ok := w.safe[h.Height]
		if ok && known != hash {
			w.fail("node %d: two safe blocks at height %d", n.id, h.Height)
		}
		if ok {
			break
		}
		w.safe[h.Height] = hash
	}
	if c, ok := n.disk.certs[a.Safe.Hash]; ok {
		n.disk.safe = c
	}
}

func sortedHashes[V any](m map[chain.Hash]V) []chain.Hash {
	return slices.SortedFunc(maps.Keys(m), func(a, b chain.Hash) int { return slices.Compare(a[:], b[:]) })
}
