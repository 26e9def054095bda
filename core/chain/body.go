package chain

import (
	"fmt"

	"github.com/alys-node/alys/core/block"
)

// CheckBody reports whether a body is its header's, every byte of it: nobody but the author can have made it, so a wrong
// one is the fault of whoever sent it and says nothing about the block. It is pure and needs no parent.
func CheckBody(b *block.Block) error {
	if err := b.CheckSeal(); err != nil {
		return err
	}
	if _, err := executionBlock(b.Execution); err != nil {
		return fmt.Errorf("payload: %w: %w", block.ErrMismatch, err)
	}
	return nil
}
