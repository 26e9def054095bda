package geth

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/sdk/engine"
)

// geth holds the states of recent blocks in memory and writes them at a clean stop. A killed process would come back at
// the last state on disk, maybe the genesis, so the head's state is written regularly. What lies between is imported
// again by the host, at several hundred blocks a second.
const (
	commitBlocks   = 64
	commitInterval = 15 * time.Second
)

// commitMark is when the state was last written.
type commitMark struct {
	height uint64
	at     time.Time
}

// commitIfDue writes the head's state to disk when enough blocks or time have passed since the last time.
func (e *Engine) commitIfDue(head *types.Block) error {
	n, now := head.NumberU64(), time.Now()
	forward := n >= e.lastCommit.height
	if forward && n-e.lastCommit.height < commitBlocks && now.Sub(e.lastCommit.at) < commitInterval {
		return nil
	}
	if err := e.eth.BlockChain().TrieDB().Commit(head.Root(), false); err != nil {
		return fmt.Errorf("%w: commit state of block %d: %w", engine.ErrUnavailable, n, err)
	}
	if err := e.eth.ChainDb().SyncKeyValue(); err != nil {
		return fmt.Errorf("%w: sync chain database: %w", engine.ErrUnavailable, err)
	}
	e.lastCommit = commitMark{height: n, at: now}
	return nil
}
