package geth

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/node"
	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/engine"
)

// Errors of Open about what the data folder holds.
var (
	// ErrOtherChain means that the data folder has another genesis.
	ErrOtherChain = errors.New("data folder belongs to another chain")
	// ErrForkSchedule means that blocks of the data folder were executed under another fork schedule.
	ErrForkSchedule = errors.New("fork schedule differs in the past")
)

// checkStored compares what the folder holds with the genesis before geth opens it: geth would rewind the chain without
// a word when a fork that already passed has another time.
func checkStored(stack *node.Node, g *execution.Genesis) (err error) {
	db, err := stack.OpenDatabase("chaindata", 16, 16, "", false)
	if err != nil {
		return fmt.Errorf("open chain database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	stored := rawdb.ReadCanonicalHash(db, 0)
	if stored == (common.Hash{}) {
		return nil
	}
	if want := common.Hash(g.Hash()); stored != want {
		return fmt.Errorf("%w: its genesis is %s, the chain's is %s: use an empty data folder or the right chain spec",
			ErrOtherChain, stored, want)
	}
	cfg, head := rawdb.ReadChainConfig(db, stored), rawdb.ReadHeadHeader(db)
	if cfg == nil || head == nil || head.Number.Sign() == 0 {
		return nil
	}
	if compat := cfg.CheckCompatible(g.Spec().Config, head.Number.Uint64(), head.Time); compat != nil {
		return fmt.Errorf("%w: %s, and the head is block %d at time %d: restore the schedule, or remove the data folder and "+
			"import again", ErrForkSchedule, compat.Error(), head.Number, head.Time)
	}
	return nil
}

// checkFree fails with engine.ErrUnavailable when the file system has less than want bytes left. geth ends the process
// when a write fails, so the engine stops taking work before that.
func checkFree(dir string, want uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%w: read free space of %s: %w", engine.ErrUnavailable, dir, err)
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < want {
		return fmt.Errorf("%w: %d MiB free on the file system of %s, %d MiB needed: make room",
			engine.ErrUnavailable, free>>20, dir, want>>20)
	}
	return nil
}
