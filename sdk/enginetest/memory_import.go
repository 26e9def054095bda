package enginetest

import (
	"context"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Import implements engine.Engine.
func (m *Memory) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out engine.ImportResult
	valid := true
	for _, d := range r.Payloads {
		if err := ctx.Err(); err != nil {
			return engine.ImportResult{}, err
		}
		s := m.judge(d)
		out.Statuses = append(out.Statuses, s)
		if s.Verdict != engine.Valid {
			valid = false
			break
		}
	}
	if valid && r.Forkchoice != nil {
		if err := m.apply(*r.Forkchoice); err != nil {
			return engine.ImportResult{}, err
		}
	}
	out.Heads = m.heads
	return out, nil
}

// judge executes one payload and keeps it when it is valid.
func (m *Memory) judge(d chain.ExecutionData) engine.PayloadStatus {
	p := d.Payload
	s := engine.PayloadStatus{Hash: p.BlockHash, Verdict: engine.Invalid}
	hash, err := BlockHash(d)
	if err == nil && hash != p.BlockHash {
		err = fmt.Errorf("block hash is %s, computed %s", p.BlockHash, hash)
	}
	if err == nil {
		err = m.checkForkFields(d)
	}
	if err != nil {
		s.Reason = err.Error()
		return s
	}
	if _, known := m.blocks[hash]; known {
		s.Verdict, s.LatestValid = engine.Valid, hash
		return s
	}
	parent, known := m.blocks[p.ParentHash]
	if !known {
		s.Verdict = engine.Syncing
		return s
	}
	s.LatestValid = p.ParentHash
	done, err := execute(p, parent.data.Payload.StateRoot, m.run)
	if err == nil {
		err = check(p, parent.data.Payload, done)
	}
	if err != nil {
		s.Reason = err.Error()
		return s
	}
	m.blocks[hash] = &executed{data: d, receipts: done.receipts}
	s.Verdict, s.LatestValid = engine.Valid, hash
	return s
}

// check compares a payload with its parent and with its own execution.
func check(p, parent chain.Payload, done result) error {
	switch {
	case p.Number != parent.Number+1:
		return fmt.Errorf("number %d after %d", p.Number, parent.Number)
	case p.Timestamp <= parent.Timestamp:
		return fmt.Errorf("timestamp %d after %d", p.Timestamp, parent.Timestamp)
	case p.GasUsed > p.GasLimit || p.GasUsed != done.gasUsed:
		return fmt.Errorf("gas used %d of %d, executed %d", p.GasUsed, p.GasLimit, done.gasUsed)
	case p.ReceiptsRoot != done.receiptsRoot:
		return fmt.Errorf("receipts root %s, executed %s", p.ReceiptsRoot, done.receiptsRoot)
	case p.LogsBloom != done.bloom:
		return fmt.Errorf("logs bloom differs from the executed one")
	case p.StateRoot != done.stateRoot:
		return fmt.Errorf("state root %s, executed %s", p.StateRoot, done.stateRoot)
	}
	return nil
}

// apply sets the heads. Like geth it does not move below the finalized block.
func (m *Memory) apply(f engine.Forkchoice) error {
	head, known := m.blocks[f.Head]
	if !known {
		return fmt.Errorf("head %s: %w", f.Head, engine.ErrSyncing)
	}
	if final := m.heads.Finalized.Hash; !final.IsZero() && !m.isAncestor(final, f.Head) {
		return fmt.Errorf("head %s is not above the finalized %s: %w", f.Head, final, engine.ErrDidNotMove)
	}
	next := engine.Heads{Head: chain.Ref{Height: head.data.Payload.Number, Hash: f.Head}}
	for _, h := range []struct {
		name string
		hash chain.Hash
		ref  *chain.Ref
	}{{"safe", f.Safe, &next.Safe}, {"finalized", f.Finalized, &next.Finalized}} {
		if h.hash.IsZero() {
			continue
		}
		if !m.isAncestor(h.hash, f.Head) {
			return fmt.Errorf("%s %s is not an ancestor of the head: %w", h.name, h.hash, engine.ErrUnknownBlock)
		}
		*h.ref = chain.Ref{Height: m.blocks[h.hash].data.Payload.Number, Hash: h.hash}
	}
	m.moveTransactions(m.heads.Head.Hash, f.Head)
	m.heads = next
	return nil
}

// isAncestor reports whether a is b or below it.
func (m *Memory) isAncestor(a, b chain.Hash) bool {
	low, known := m.blocks[a]
	if !known {
		return false
	}
	for b != a {
		block, known := m.blocks[b]
		if !known || block.data.Payload.Number <= low.data.Payload.Number {
			return false
		}
		b = block.data.Payload.ParentHash
	}
	return true
}

// moveTransactions puts those of the left branch back into the pool and takes those of the new one out.
func (m *Memory) moveTransactions(from, to chain.Hash) {
	for !m.isAncestor(from, to) {
		p := m.blocks[from].data.Payload
		m.pool.add(p.Transactions)
		from = p.ParentHash
	}
	for to != from {
		p := m.blocks[to].data.Payload
		m.pool.remove(p.Transactions)
		to = p.ParentHash
	}
}
