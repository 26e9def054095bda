package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// restore reads from store and guard what consensus knew before the node stopped: unsafe blocks, their certificates, and
// our last approvals.
func restore(ctx context.Context, c *ledger.Chain, g *guard.Guard, self []chain.BLSPublicKey) (consensus.Restored, []*block.Block, error) {
	blocks, qcs, err := c.Unsafe()
	if err != nil {
		return consensus.Restored{}, nil, fmt.Errorf("read unsafe blocks: %w", err)
	}
	_, safe, _ := c.Heads()
	var r consensus.Restored
	if safe.Height > 0 {
		if r.Safe, err = certificate(c, safe.Hash); err != nil {
			return consensus.Restored{}, nil, fmt.Errorf("read safe block: %w", err)
		}
	}
	for _, b := range blocks {
		p := consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC}
		r.Blocks = append(r.Blocks, consensus.RestoredBlock{Proposal: p, Verdict: consensus.VerdictApprovable})
	}
	for _, qc := range qcs {
		if qc.Block == safe.Hash {
			continue
		}
		h, err := c.Header(qc.Block)
		if err != nil {
			return consensus.Restored{}, nil, fmt.Errorf("read certified block: %w", err)
		}
		r.Certificates = append(r.Certificates, consensus.Certificate{Header: h, QC: qc})
	}
	r.Approvals, err = ownApprovals(ctx, c, g, self)
	return r, blocks, err
}

func certificate(c *ledger.Chain, hash chain.Hash) (consensus.Certificate, error) {
	h, err := c.Header(hash)
	if err != nil {
		return consensus.Certificate{}, err
	}
	qc, err := c.QC(hash)
	return consensus.Certificate{Header: h, QC: qc}, err
}

// ownApprovals are the last approvals of our keys. One whose block is not stored cannot be sent again and stays the
// guard's affair alone.
func ownApprovals(ctx context.Context, c *ledger.Chain, g *guard.Guard, self []chain.BLSPublicKey) ([]consensus.OwnApproval, error) {
	states, err := g.Show(ctx)
	if err != nil {
		return nil, fmt.Errorf("read guard: %w", err)
	}
	var out []consensus.OwnApproval
	for _, key := range self {
		for _, s := range states {
			if s.Key != signer.BLSKey(key) || s.Block.IsZero() {
				continue
			}
			h, err := c.Header(s.Block)
			if errors.Is(err, ledger.ErrUnknownBlock) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read our last approved block: %w", err)
			}
			out = append(out, consensus.OwnApproval{Key: key, Header: h})
		}
	}
	return out, nil
}
