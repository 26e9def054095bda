package execution

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// requestsPrefix and a block hash are the key of a block's non-empty execution requests: an execution client stores only
// their hash.
const requestsPrefix = "alys-requests-"

// ErrNoRequests means that the requests of a block were never kept here.
var ErrNoRequests = errors.New("execution requests of the block are not here")

// KeyValue is the database that keeps requests.
type KeyValue interface {
	Has(key []byte) (bool, error)
	Get(key []byte) ([]byte, error)
	Put(key, value []byte) error
}

// Requests keeps the execution requests of blocks.
type Requests struct{ DB KeyValue }

func hashFits(d *chain.ExecutionData) bool { return CheckHash(d) == nil }

// Keep stores the requests of a payload. It must run before an engine gets the payload, so that no block is ever there
// without them. Only requests that the payload's own hash commits to are stored; the others are the engine's to judge.
func (r Requests) Keep(d *chain.ExecutionData) error {
	if len(d.Requests) == 0 || !hashFits(d) {
		return nil
	}
	enc, err := rlp.EncodeToBytes(d.Requests)
	if err != nil {
		return fmt.Errorf("encode requests: %w", err)
	}
	if err := r.DB.Put(requestsKey(common.Hash(d.Payload.BlockHash)), enc); err != nil {
		return fmt.Errorf("%w: store requests: %w", engine.ErrUnavailable, err)
	}
	return nil
}

// Read returns the requests of a block whose header has the hash want; they are never nil.
func (r Requests) Read(block, want common.Hash) ([][]byte, error) {
	if want == types.EmptyRequestsHash {
		return [][]byte{}, nil
	}
	if has, err := r.DB.Has(requestsKey(block)); err != nil || !has {
		return nil, errors.Join(ErrNoRequests, err)
	}
	enc, err := r.DB.Get(requestsKey(block))
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	var reqs [][]byte
	if err := rlp.DecodeBytes(enc, &reqs); err != nil {
		return nil, fmt.Errorf("decode requests: %w", err)
	}
	if got := types.CalcRequestsHash(reqs); got != want {
		return nil, fmt.Errorf("stored requests hash to %s, the header has %s", got, want)
	}
	return reqs, nil
}

func requestsKey(block common.Hash) []byte { return append([]byte(requestsPrefix), block[:]...) }
