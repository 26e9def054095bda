package network

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

// Limits of requests.
const (
	// MaxRangeBlocks is the most blocks that a range may have.
	MaxRangeBlocks = 1024
	// MaxRangeBytes is the most bytes of blocks that a range may have, and the default where less is not asked.
	MaxRangeBytes = 32 << 20
	// MaxHashes is the most blocks that may be asked for by hash at once.
	MaxHashes = 16

	maxRequestBytes = 1 << 10
	maxErrorBytes   = 512
	maxPeersAnswer  = 64 << 10
	maxPeerRecords  = 32
	maxRecordBytes  = 4 << 10
	// maxStoredBytes is an encoded Stored: the block, its author's approval and its certificate.
	maxStoredBytes = block.MaxBlockBytes + block.MaxQCBytes + proposalOverhead
)

// rangeRequest asks for the blocks from a height on.
type rangeRequest struct {
	From  chain.Height
	Count uint64 // 1 to MaxRangeBlocks
	Bytes uint64 // at most so many, but always one block
}

func (r rangeRequest) check() error {
	switch {
	case r.Count == 0 || r.Count > MaxRangeBlocks:
		return fmt.Errorf("%d blocks, want 1 to %d: %w", r.Count, MaxRangeBlocks, ErrMalformed)
	case r.Bytes == 0 || r.Bytes > MaxRangeBytes:
		return fmt.Errorf("%d bytes, want 1 to %d: %w", r.Bytes, MaxRangeBytes, ErrMalformed)
	case r.From > 1<<62:
		return fmt.Errorf("from height %d: %w", r.From, ErrMalformed)
	}
	return nil
}

// hashRequest asks for blocks by hash.
type hashRequest struct {
	Hashes []chain.Hash // 1 to MaxHashes
}

func (r hashRequest) check() error {
	if len(r.Hashes) == 0 || len(r.Hashes) > MaxHashes {
		return fmt.Errorf("%d hashes, want 1 to %d: %w", len(r.Hashes), MaxHashes, ErrMalformed)
	}
	return nil
}

// noRequest is a question without arguments: an empty list.
type noRequest struct{}

func (noRequest) check() error { return nil }

// peersAnswer is signed peer records of peers that the sender is connected with.
type peersAnswer struct {
	Records [][]byte
}

// request is one of the request types.
type request interface{ check() error }

// decodeRequest reads a request of at most maxRequestBytes into r.
func decodeRequest[R request](raw []byte) (R, error) {
	var r R
	if len(raw) > maxRequestBytes {
		return r, fmt.Errorf("request of %d bytes, limit %d: %w", len(raw), maxRequestBytes, ErrMalformed)
	}
	if err := rlp.DecodeBytes(raw, &r); err != nil {
		return r, fmt.Errorf("decode request: %w: %w", ErrMalformed, err)
	}
	if err := r.check(); err != nil {
		return r, fmt.Errorf("decode request: %w", err)
	}
	return r, nil
}

func decodePeers(raw []byte) (peersAnswer, error) {
	var a peersAnswer
	if len(raw) > maxPeersAnswer {
		return a, fmt.Errorf("peer records of %d bytes, limit %d: %w", len(raw), maxPeersAnswer, ErrMalformed)
	}
	if err := rlp.DecodeBytes(raw, &a); err != nil {
		return a, fmt.Errorf("decode peer records: %w: %w", ErrMalformed, err)
	}
	if len(a.Records) > maxPeerRecords {
		return a, fmt.Errorf("%d peer records, limit %d: %w", len(a.Records), maxPeerRecords, ErrMalformed)
	}
	for _, r := range a.Records {
		if len(r) > maxRecordBytes {
			return a, fmt.Errorf("peer record of %d bytes, limit %d: %w", len(r), maxRecordBytes, ErrMalformed)
		}
	}
	return a, nil
}

// Stored is a block as it is kept: encoded, so that serving it costs no second encoding.
type Stored struct {
	Hash      chain.Hash
	Parent    chain.Hash
	Raw       []byte             // canonical encoding; shared, not to be written to
	Signature chain.BLSSignature // the author's approval; zero when it is not known
}

// wireStored is the RLP shape of a Stored. QC is empty when it is not known.
type wireStored struct {
	Block     []byte
	Signature chain.BLSSignature
	QC        []byte
}

// encodeStored is a block as it is sent, with its certificate where that is known.
func encodeStored(s Stored, qc *block.QC) ([]byte, error) {
	w := wireStored{Block: s.Raw, Signature: s.Signature}
	if qc != nil {
		w.QC = block.EncodeQC(*qc)
	}
	raw, err := rlp.EncodeToBytes(w)
	if err != nil {
		return nil, fmt.Errorf("encode block: %w", err)
	}
	return raw, nil
}

// Received is a block that came from a peer. It is decoded and its parts are within limits; whether it is valid, and
// whether its certificate certifies, is the receiver's question.
type Received struct {
	Block     *block.Block
	Size      int // bytes, encoded
	Signature chain.BLSSignature
	QC        *block.QC // the block's own certificate; nil when the peer did not send it
}

func decodeStored(raw []byte) (Received, error) {
	if len(raw) > maxStoredBytes {
		return Received{}, fmt.Errorf("block of %d bytes, limit %d: %w", len(raw), maxStoredBytes, ErrMalformed)
	}
	var w wireStored
	if err := rlp.DecodeBytes(raw, &w); err != nil {
		return Received{}, fmt.Errorf("decode block of a peer: %w: %w", ErrMalformed, err)
	}
	b, err := block.Decode(w.Block)
	if err != nil {
		return Received{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r := Received{Block: b, Size: len(w.Block), Signature: w.Signature}
	if len(w.QC) == 0 {
		return r, nil
	}
	qc, err := block.DecodeQC(w.QC)
	if err != nil {
		return Received{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if qc.Block != b.Header.Hash() {
		return Received{}, fmt.Errorf("the block's certificate is another block's: %w", ErrMalformed)
	}
	r.QC = &qc
	return r, nil
}
