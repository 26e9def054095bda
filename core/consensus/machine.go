package consensus

import (
	"errors"
	"fmt"
	"math"

	"github.com/alys-node/alys/sdk/chain"
)

// ErrRestored means that what the store holds contradicts itself.
var ErrRestored = errors.New("stored consensus state contradicts itself")

// Machine is the state of one node. It is not safe for concurrent use.
type Machine struct {
	cfg     Config
	genesis chain.Hash
	verify  Verifier
	own     map[chain.BLSPublicKey]*ownKey

	now     chain.UnixMilli
	slot    chain.Slot // of now
	started bool       // the first Step was taken
	halted  string     // why, or empty
	out     []Effect

	entries  map[chain.Hash]*entry
	children map[chain.Hash][]*entry // entries with bodies, by parent
	bySlot   map[chain.Slot][]*entry // entries with bodies, in order of arrival
	votes    map[chain.BLSPublicKey]map[chain.Slot]*vote
	wants    map[chain.Hash]*want

	safe *entry
	head *entry // the longest notarized and imported tip
	top  *entry // the highest notarized block whose header is known, imported or not
	told [2]chain.Ref

	building building
	budget   map[Peer]int
	answered map[Peer]bool // was told our highest certificate in this slot
	behind   bool          // Behind was reported in this slot
}

// New makes a machine from what the store knows. It verifies no signature that was verified before it was stored, and
// refuses what contradicts itself with ErrRestored.
func New(cfg Config, r Restored) (*Machine, error) {
	if cfg.Schedule == nil {
		return nil, errors.New("consensus needs a schedule")
	}
	m := &Machine{
		cfg: cfg, genesis: cfg.Genesis.Hash(), verify: cfg.Verifier,
		own:      map[chain.BLSPublicKey]*ownKey{},
		entries:  map[chain.Hash]*entry{},
		children: map[chain.Hash][]*entry{},
		bySlot:   map[chain.Slot][]*entry{},
		votes:    map[chain.BLSPublicKey]map[chain.Slot]*vote{},
		wants:    map[chain.Hash]*want{},
		budget:   map[Peer]int{},
		answered: map[Peer]bool{},
	}
	if m.verify == nil {
		m.verify = blsVerifier{}
	}
	for _, k := range cfg.Self {
		m.own[k] = &ownKey{}
	}
	if err := m.restore(r); err != nil {
		return nil, fmt.Errorf("restore consensus: %w", err)
	}
	return m, nil
}

// latest bounds the clock, so that sums of times never overflow.
const latest = chain.UnixMilli(1) << 60

// Step takes one input and returns what is to be done, in order. After Halt it returns nothing.
func (m *Machine) Step(in Input) []Effect {
	if m.stopped() {
		return nil
	}
	m.out = nil
	m.now = min(max(in.Now, 0), latest)
	m.clock()
	m.handle(in.Event)
	if !m.stopped() {
		m.advance()
		m.retry()
		m.author()
	}
	return m.out
}

// NextWake is when a Tick is due at the latest, given the last input's time. It lies ahead of that time; after Halt it is
// never.
func (m *Machine) NextWake() chain.UnixMilli {
	if m.stopped() {
		return math.MaxInt64
	}
	wake := m.cfg.Schedule.SlotStart(m.slot + 1)
	if t := m.building.wake; t > m.now {
		wake = min(wake, t)
	}
	for _, w := range m.wants {
		wake = min(wake, w.at)
	}
	for _, e := range m.entries {
		if e.retry > 0 {
			wake = min(wake, e.retry)
		}
	}
	return wake
}

// Head is the tip that Advance last named.
func (m *Machine) Head() chain.Ref { return m.head.ref() }

// Safe is the youngest safe block.
func (m *Machine) Safe() chain.Ref { return m.safe.ref() }

// Highest is the certificate of the highest notarized block known, imported or not.
func (m *Machine) Highest() Certificate { return m.top.certificate() }

func (m *Machine) handle(ev Event) {
	switch ev := ev.(type) {
	case ProposalReceived:
		m.proposed(ev.Proposal, ev.From, false)
	case ApprovalReceived:
		m.approved(ev.Approval, ev.From)
	case CertificateReceived:
		m.certified(ev.Certificate, ev.From)
	case Fetched:
		m.fetched(ev)
	case Judged:
		m.judged(ev)
	case Built:
		m.built(ev)
	case BuildFailed:
		m.buildFailed(ev.Slot)
	case Signed:
		m.signed(ev)
	case NotSigned:
		m.notSigned(ev)
	case Imported:
		m.imported(ev)
	case Tick:
	}
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// stopped reports whether the machine has halted.
func (m *Machine) stopped() bool { return m.halted != "" }

// halt stops the machine for good.
func (m *Machine) halt(format string, args ...any) {
	if m.stopped() {
		return
	}
	m.halted = fmt.Sprintf(format, args...)
	m.emit(Halt{Reason: m.halted})
}

// advance reports the fork choice where it changed.
func (m *Machine) advance() {
	now := [2]chain.Ref{m.head.ref(), m.safe.ref()}
	if now == m.told {
		return
	}
	m.told = now
	m.emit(Advance{Head: now[0], Safe: now[1]})
}

// slotLength is the length of a slot in milliseconds.
func (m *Machine) slotLength(s chain.Slot) chain.UnixMilli {
	return m.cfg.Schedule.SlotStart(s+1) - m.cfg.Schedule.SlotStart(s)
}
