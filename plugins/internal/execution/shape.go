package execution

import (
	"errors"
	"fmt"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// ErrTimestamp means that a payload was asked for a time at or before its parent's.
var ErrTimestamp = errors.New("timestamp is not after the parent's")

// CheckBuild refuses what no payload can be built of: a time past the horizon or not after the parent's, and a parent
// beacon root that does not fit the fork.
func (g *Genesis) CheckBuild(r engine.BuildRequest, parentTime uint64) error {
	if err := g.Executes(r.Timestamp); err != nil {
		return err
	}
	if r.Timestamp <= parentTime {
		return fmt.Errorf("%w: %d, parent %s has %d", ErrTimestamp, r.Timestamp, r.Parent, parentTime)
	}
	if cancun := g.Cancun(r.Timestamp); cancun != (r.ParentBeaconRoot != nil) {
		return fmt.Errorf("parent beacon root given: %t, wanted at timestamp %d: %t", !cancun, r.Timestamp, cancun)
	}
	return nil
}

// Malformed says why a payload cannot be one of its fork, or nothing. Engines answer these with an error or, for what
// they do not look at, not at all; here they are a verdict.
func (g *Genesis) Malformed(d *chain.ExecutionData) string {
	p, cancun, prague := &d.Payload, g.Cancun(d.Payload.Timestamp), g.Prague(d.Payload.Timestamp)
	switch {
	case cancun != (d.ParentBeaconRoot != nil):
		return fmt.Sprintf("parent beacon root present: %t, Cancun: %t", !cancun, cancun)
	case cancun != (p.BlobGasUsed != nil) || cancun != (p.ExcessBlobGas != nil):
		return fmt.Sprintf("blob gas fields do not fit the fork (Cancun: %t)", cancun)
	case !prague && len(d.Requests) != 0:
		return "execution requests before Prague"
	case prague && d.Requests == nil:
		return "no execution requests in Prague"
	}
	for i, r := range d.Requests {
		if len(r) < 2 || i > 0 && r[0] <= d.Requests[i-1][0] {
			return "execution requests are empty or not in ascending order of type"
		}
	}
	return ""
}

// BlobHashes are the versioned hashes that newPayload wants beside a payload: those of its type-3 transactions. It is
// never nil. A transaction that does not decode has none: the engine judges it.
func BlobHashes(p chain.Payload) []common.Hash {
	out := []common.Hash{}
	for _, raw := range p.Transactions {
		if len(raw) == 0 || raw[0] != types.BlobTxType {
			continue
		}
		var tx types.Transaction
		if tx.UnmarshalBinary(raw) == nil {
			out = append(out, tx.BlobHashes()...)
		}
	}
	return out
}

// CheckHash is nil when a payload has the block hash that its fields have.
func CheckHash(d *chain.ExecutionData) error {
	_, err := gethengine.ExecutableDataToBlock(Executable(d.Payload), BlobHashes(d.Payload), BeaconRoot(d.ParentBeaconRoot), d.Requests)
	return err
}
