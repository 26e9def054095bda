package geth

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// poolJournal is the file, in geth's folder, to which geth appends every transaction that a wallet sends it.
const poolJournal = "transactions.rlp"

// maxJournaled bounds one transaction of the journal, in bytes: the pool takes none above 128 KiB.
const maxJournaled = 256 << 10

// reloadJournal puts the wallets' transactions of the last run into the pool. geth does it too, ten seconds after its
// start: long enough for a wallet to be told that its transaction is unknown.
func (e *Engine) reloadJournal() error {
	f, err := os.Open(e.stack.ResolvePath(poolJournal))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open transaction journal: %w", err)
	}
	txs, torn := readJournal(f)
	if err := f.Close(); err != nil {
		return fmt.Errorf("close transaction journal: %w", err)
	}
	if torn != nil { // a killed process was writing, and the rest was read
		e.log.Warn("transaction journal ends early", "read", len(txs), "error", torn)
	}
	taken := 0
	for _, err := range e.eth.TxPool().Add(txs, true) {
		if err == nil {
			taken++
		}
	}
	if len(txs) > 0 {
		e.log.Info("transactions of the last run are back in the pool", "journalled", len(txs), "taken", taken)
	}
	return nil
}

// readJournal reads transactions up to the end or to the first that is broken.
func readJournal(r io.Reader) (txs []*types.Transaction, torn error) {
	s := rlp.NewStream(r, 0)
	for {
		kind, size, err := s.Kind()
		if errors.Is(err, io.EOF) {
			return txs, nil
		}
		if err == nil && size > maxJournaled {
			err = fmt.Errorf("%s of %d bytes is no transaction", kind, size)
		}
		tx := new(types.Transaction)
		if err == nil {
			err = s.Decode(tx)
		}
		if err != nil {
			return txs, err
		}
		txs = append(txs, tx)
	}
}
