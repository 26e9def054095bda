package consensus

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// restore rebuilds the state from the store. The effects of doing so are dropped: all of it is durable, and the first
// Step reports the fork choice and asks for what is missing.
func (m *Machine) restore(r Restored) error {
	defer func() { m.out = nil }()
	if err := m.restoreSafe(r.Safe); err != nil {
		return err
	}
	blocks := slices.Clone(r.Blocks)
	slices.SortStableFunc(blocks, func(a, b RestoredBlock) int {
		return cmp.Compare(a.Proposal.Header.Height, b.Proposal.Header.Height)
	})
	for _, b := range blocks {
		if err := m.restoreBlock(b); err != nil {
			return fmt.Errorf("block %s: %w", b.Proposal.Header.Hash(), err)
		}
	}
	for _, c := range r.Certificates {
		if err := m.restoreCertificate(c); err != nil {
			return fmt.Errorf("certificate of %s: %w", c.QC.Block, err)
		}
	}
	for _, a := range r.Approvals {
		m.restoreApproval(a)
	}
	if m.stopped() {
		return fmt.Errorf("%w: %s", ErrRestored, m.halted)
	}
	for _, e := range m.entries {
		e.judging, e.retry = false, 0
	}
	return nil
}

func (m *Machine) restoreSafe(c Certificate) error {
	if c.Header == (chain.Header{}) {
		c = Certificate{Header: m.cfg.Genesis, QC: GenesisQC(m.genesis)}
	}
	hash := c.Header.Hash()
	if c.QC.Block != hash {
		return fmt.Errorf("%w: safe block %s with a certificate of %s", ErrRestored, hash, c.QC.Block)
	}
	e := &entry{hash: hash, header: c.Header, qc: &c.QC, verdict: VerdictApprovable, approvals: map[int]chain.BLSSignature{}}
	m.entries[hash] = e
	m.safe, m.head, m.top = e, e, e
	return nil
}

// restoredAuthor is the author of a stored header's slot; an error where the header cannot be of this chain.
func (m *Machine) restoredAuthor(h chain.Header) (int, error) {
	if _, ok := m.screenHeader(h); !ok {
		return 0, fmt.Errorf("%w: not a block of this chain", ErrRestored)
	}
	_, known := m.cfg.Schedule.Set(h.Height)
	author, knownAuthor := m.cfg.Schedule.Author(h.Slot, h.Height)
	if !known || !knownAuthor {
		return 0, fmt.Errorf("%w: no authority set at height %d", ErrRestored, h.Height)
	}
	return author, nil
}

func (m *Machine) restoreBlock(b RestoredBlock) error {
	p := b.Proposal
	h, hash := p.Header, p.Header.Hash()
	if h.Height <= m.safe.header.Height || m.entries[hash] != nil {
		return nil
	}
	author, err := m.restoredAuthor(h)
	if err != nil {
		return err
	}
	if h.ParentQC != p.ParentQC.Hash() || p.ParentQC.Block != h.Parent {
		return fmt.Errorf("%w: carries another certificate than it names", ErrRestored)
	}
	return m.revive(p, hash, author, b.Verdict)
}

func (m *Machine) revive(p Proposal, hash chain.Hash, author int, v Verdict) error {
	e := m.add(p.Header, hash, author, "")
	m.attach(e, p.ParentQC, "")
	if above := m.entries[p.Header.Parent]; v == VerdictInvalid || above != nil && above.verdict.imported() {
		e.verdict = v // the engine has a block only with all its ancestors
	}
	if !p.Signature.IsZero() {
		m.count(e, Approval{Header: p.Header, Authority: author, Signature: p.Signature})
	}
	parent := m.entries[p.Header.Parent]
	if p.Header.Height == m.safe.header.Height+1 && parent != m.safe {
		return fmt.Errorf("%w: not built on the safe block", ErrRestored)
	}
	if parent == nil {
		m.want(p.Header.Parent, "", 0)
		return nil
	}
	if parent.header.Height+1 != p.Header.Height || parent.header.Slot >= p.Header.Slot {
		return fmt.Errorf("%w: does not follow its parent", ErrRestored)
	}
	m.certify(parent, p.ParentQC, "")
	m.settleChain(e)
	return nil
}

func (m *Machine) restoreCertificate(c Certificate) error {
	hash := c.Header.Hash()
	if c.QC.Block != hash {
		return fmt.Errorf("%w: stored with block %s", ErrRestored, hash)
	}
	if c.Header.Height <= m.safe.header.Height {
		return nil
	}
	e := m.entries[hash]
	if e == nil {
		author, err := m.restoredAuthor(c.Header)
		if err != nil {
			return err
		}
		e = m.add(c.Header, hash, author, "")
	}
	m.certify(e, c.QC, "")
	return nil
}

func (m *Machine) restoreApproval(a OwnApproval) {
	k := m.own[a.Key]
	if k == nil || k.header.Slot > a.Header.Slot {
		return
	}
	*k = ownKey{header: a.Header, hash: a.Header.Hash(), signature: a.Signature}
	e := m.entries[k.hash]
	if e == nil {
		return
	}
	e.ours = true
	set, _ := m.cfg.Schedule.Set(e.header.Height)
	if index, in := set.index(a.Key); in && !a.Signature.IsZero() {
		m.count(e, Approval{Header: a.Header, Authority: index, Signature: a.Signature})
	}
}

// imported takes blocks that came by sync.
func (m *Machine) imported(ev Imported) {
	for i, p := range ev.Run {
		var own *block.QC
		if i == len(ev.Run)-1 {
			own = ev.QC
		}
		m.importedOne(p, own)
	}
}

func (m *Machine) importedOne(p Proposal, own *block.QC) {
	hash := p.Header.Hash()
	// A quorum stands behind what came by sync. Beside our safe block it is no old news: a third of the authorities broke
	// the rules, and going on as if nothing were amiss would leave this node on its branch for ever.
	if m.stopped() || m.contradicts(p.Header, hash) {
		return
	}
	parent := m.entries[p.Header.Parent]
	if _, ok := m.screen(p, true); !ok || parent == nil || !parent.verdict.imported() ||
		parent.header.Height+1 != p.Header.Height || parent.header.Slot >= p.Header.Slot {
		return // at or below the safe block, or out of order
	}
	e := m.entries[hash]
	if e == nil {
		author, _ := m.cfg.Schedule.Author(p.Header.Slot, p.Header.Height)
		e = m.add(p.Header, hash, author, "")
	}
	if !e.body {
		m.attach(e, p.ParentQC, "")
	}
	e.judging, e.retry = false, 0
	if e.verdict != VerdictApprovable {
		e.verdict = VerdictValid
	}
	m.certify(parent, p.ParentQC, "")
	if own != nil {
		m.certify(e, *own, "")
	}
	m.settleChain(e)
}
