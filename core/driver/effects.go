package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// signTimeout is the longest that a signature is waited for: past it, it is of no use to the slot.
const signTimeout = 5 * time.Second

// carryOut does one effect. An error stops the node.
func (d *Driver) carryOut(ctx context.Context, c *crew, effect consensus.Effect) error {
	switch e := effect.(type) {
	case consensus.Build:
		return d.enqueue(job{build: &e})
	case consensus.Judge:
		return d.enqueue(job{judge: d.bodies[e.Header.Hash()], header: e.Header})
	case consensus.Advance:
		d.settleBodies(e.Safe.Height)
		return d.enqueue(job{advance: &e})
	case consensus.Persist:
		d.missed.notarized(d, e.Certificate.Header)
		d.opt.Observer.Notarized(e.Certificate)
	case consensus.Sign:
		c.start("signing", func() error { d.sign(ctx, e); return nil })
	case consensus.SendProposal:
		if b := d.bodies[e.Proposal.Header.Hash()]; b != nil {
			d.opt.Network.SendProposal(e.Proposal, b, e.To)
		}
	case consensus.SendApproval:
		d.opt.Network.SendApproval(e.Approval, e.To)
	case consensus.SendCertificate:
		d.opt.Network.SendCertificate(e.Certificate, e.To)
	case consensus.Fetch:
		c.start("fetching", func() error { d.fetch(ctx, e); return nil })
	case consensus.Behind:
		d.opt.Log.Debug("a certified block is far ahead: sync is due", "height", e.Height, "peer", e.From)
	case consensus.Evidence:
		d.opt.Log.Error("an authority approved two blocks in one slot", "key", e.Key, "slot", e.First.Header.Slot)
		d.opt.Observer.Evidence(e)
		d.opt.Network.SendApproval(e.First, "")
		d.opt.Network.SendApproval(e.Second, "")
	case consensus.Refuse:
		d.opt.Log.Debug("message refused", "from", e.From, "block", e.Hash, "reason", e.Reason)
		if e.Fault && e.From != "" {
			d.opt.Network.Misbehaved(e.From, string(e.Reason))
		}
		if e.Higher != nil && e.From != "" {
			d.opt.Network.SendCertificate(*e.Higher, e.From)
		}
	case consensus.Drop:
		delete(d.bodies, e.Hash)
	case consensus.Halt:
		d.opt.Observer.Halted(e.Reason)
		return fmt.Errorf("%w: %s", ErrHalted, e.Reason)
	default:
		return fmt.Errorf("consensus asks for %T, which this node does not know", effect)
	}
	return nil
}

// errQueueFull cannot happen while the machine bounds what it asks for.
var errQueueFull = errors.New("too many orders wait for the engine")

func (d *Driver) enqueue(j job) error {
	select {
	case d.jobs <- j:
		return nil
	default:
		return errQueueFull
	}
}

// settleBodies lets go of the bodies that the safe block has decided: nobody asks a machine for them any more.
func (d *Driver) settleBodies(safe chain.Height) {
	for hash, b := range d.bodies {
		if b.Header.Height <= safe {
			delete(d.bodies, hash)
		}
	}
}

func (d *Driver) sign(ctx context.Context, e consensus.Sign) {
	call, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	hash := e.Header.Hash()
	sig, err := d.opt.Signer.Approve(call, e.Key, e.Header)
	if err != nil {
		refused := errors.Is(err, ErrRefused)
		d.opt.Log.Warn("block not signed", "height", e.Header.Height, "slot", e.Header.Slot, "refused", refused, "error", err)
		d.post(ctx, consensus.NotSigned{Hash: hash, Key: e.Key, Refused: refused})
		return
	}
	d.post(ctx, consensus.Signed{Hash: hash, Key: e.Key, Signature: sig})
}

func (d *Driver) fetch(ctx context.Context, e consensus.Fetch) {
	d.opt.Network.Fetch(e.Hash, e.From, func(b *block.Block, sig chain.BLSSignature, from consensus.Peer) {
		if b == nil {
			d.post(ctx, consensus.Fetched{Hash: e.Hash})
			return
		}
		p := consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC, Signature: sig}
		if reason := d.unfit(p, b); reason != "" {
			d.opt.Network.Misbehaved(from, reason)
			d.post(ctx, consensus.Fetched{Hash: e.Hash})
			return
		}
		d.post(ctx, arrived{body: b, Event: consensus.Fetched{Hash: e.Hash, Found: true, Proposal: p, From: from}})
	})
}
