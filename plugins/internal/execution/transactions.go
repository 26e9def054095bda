package execution

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
)

// ErrBlob is the answer to a type-3 transaction, in the pool and on the wallet RPC.
var ErrBlob = errors.New("blob transactions (type 3) are not part of this chain")

// DecodeTransaction decodes an EIP-2718 envelope; ErrBlob for one with blobs.
func DecodeTransaction(raw []byte) (*types.Transaction, error) {
	if len(raw) > 0 && raw[0] == types.BlobTxType {
		return nil, ErrBlob
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("decode transaction: %w", err)
	}
	return tx, nil
}
