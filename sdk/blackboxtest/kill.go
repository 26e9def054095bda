package blackboxtest

import (
	"errors"
	"slices"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// checkKill kills a plugin after work, starts it again on the same folder and looks at what it remembers.
func checkKill(c *check) {
	dir := c.TempDir()
	p := c.up(launch{dataDir: dir})
	var again func(*plug)
	switch c.s.kind {
	case lifecycle.Signer:
		again = c.signBeforeKill(p)
	case lifecycle.Engine:
		again = c.buildBeforeKill(p)
	case lifecycle.Sync:
		c.wantWork(p, "before the kill")
		again = func(p *plug) { c.wantWork(p, "after the kill") }
	}
	if err := p.kill(); err != nil {
		c.Fatal(err)
	}
	c.wantNothingRuns(p, "killed by SIGKILL with its process group")
	p = c.up(launch{dataDir: dir})
	c.wantHealthy(p, "after kill -9 and a restart on the same folder")
	again(p)
}

// approvalKey is a key that the suite may sign with.
func (c *check) approvalKey(p *plug) signer.KeyID {
	c.Helper()
	keys, err := p.client.Signer().Keys(c.call())
	if err != nil {
		c.fatal("Keys is answered", "%s; %s", err, p.said())
	}
	i := slices.IndexFunc(keys, func(k signer.Key) bool { return k.Purpose == signer.PurposeApproval })
	if i < 0 {
		c.notRun("needs config: the signer holds no approval key; give one that is for tests only")
	}
	return keys[i].ID
}

// signBeforeKill signs a block; what is returned asks for its rivals.
func (c *check) signBeforeKill(p *plug) func(*plug) {
	c.Helper()
	key := c.approvalKey(p)
	header := func(slot chain.Slot, height chain.Height, fill byte) chain.Header {
		return chain.Header{Version: chain.HeaderVersion, Genesis: c.s.chain.Genesis, Slot: slot, Height: height, BodyRoot: chain.Hash{fill}}
	}
	signed := header(10, 5, 1)
	if _, err := p.client.Signer().Approve(c.call(), signer.Approval{Key: key, Header: signed}); err != nil {
		c.fatal("a signer with an empty guard approves a block", "%s; %s", err, p.said())
	}
	return func(p *plug) {
		s := p.client.Signer()
		if c.s.o.KeepsNothing {
			err := s.RaiseFloor(c.call(), []signer.Floor{{Key: key, Slot: signed.Slot, Height: signed.Height}})
			if err != nil {
				c.failed("a signer that keeps nothing takes the floor that the node raises", "%s", err)
			}
			c.note("it keeps nothing: after a kill it relies on the floor that the node raises")
		}
		for _, rival := range []chain.Header{header(10, 5, 2), header(9, 5, 1), header(11, 4, 1)} {
			_, err := s.Approve(c.call(), signer.Approval{Key: key, Header: rival})
			if !errors.Is(err, signer.ErrRefused) {
				c.failed("after kill -9 the guard still refuses what conflicts with a block that was signed before: it is written down, durably, before the signature is given",
					"slot %s, height %s, after slot 10, height 5: %v", rival.Slot, rival.Height, err)
			}
		}
		next := header(11, 5, 1)
		sig, err := s.Approve(c.call(), signer.Approval{Key: key, Header: next})
		if err != nil {
			c.fatal("after kill -9 it signs the next block", "%s; %s", err, p.said())
		}
		if pub, err := key.BLS(); err != nil || !bls.Verify(pub, signer.ApprovalRoot(next), sig) {
			c.failed("after kill -9 its signature verifies", "it does not (%v)", err)
		}
	}
}

// killedBlocks is how many blocks the engine has executed before it is killed.
const killedBlocks = 3

// buildBeforeKill makes blocks; what is returned offers them again from the engine's own head, as the node does.
func (c *check) buildBeforeKill(p *plug) func(*plug) {
	c.Helper()
	e := p.client.Engine()
	status, err := e.Status(c.call())
	if err != nil {
		c.fatal("Status is answered", "%s; %s", err, p.said())
	}
	parent := chain.Ref{Hash: status.Genesis}
	var blocks []chain.ExecutionData
	for range killedBlocks {
		b, err := e.Build(c.within(2*frozenHealth), engine.BuildRequest{
			Parent: parent.Hash, Timestamp: genesisTime + 2*(uint64(parent.Height)+1), GasLimit: 30_000_000,
			FeeRecipient: chain.Address{1}, Withdrawals: []chain.Withdrawal{},
		})
		if err != nil {
			c.fatal("an engine builds on its head", "%s; %s", err, p.said())
		}
		blocks = append(blocks, b)
		parent = chain.Ref{Height: b.Payload.Number, Hash: b.Payload.BlockHash}
		c.wantHead(p, blocks[len(blocks)-1:], parent)
	}
	return func(p *plug) {
		status, err := p.client.Engine().Status(c.call())
		if err != nil {
			c.fatal("after kill -9 Status is answered", "%s; %s", err, p.said())
		}
		if status.Heads.Head.Height > parent.Height {
			c.failed("after kill -9 the head is one that was made before", "%+v", status.Heads.Head)
		}
		c.wantHead(p, blocks[status.Heads.Head.Height:], parent)
	}
}

// wantHead imports blocks and wants the last to be the head.
func (c *check) wantHead(p *plug, blocks []chain.ExecutionData, want chain.Ref) {
	c.Helper()
	out, err := p.client.Engine().Import(c.call(), engine.ImportRequest{Payloads: blocks, Forkchoice: &engine.Forkchoice{Head: want.Hash}})
	if err != nil {
		c.fatal("an engine imports what it has built, after kill -9 too", "%s; %s", err, p.said())
	}
	if out.Heads.Head != want {
		c.failed("the head is the last block that was imported", "%+v, want %+v (%+v)", out.Heads.Head, want, out.Statuses)
	}
}
