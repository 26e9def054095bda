// Package block is the canonical block: its parts, its one encoding and its hash. Pure.
//
// A block is a header (sdk/chain), which is what authorities approve, and a body that the header commits to. The
// encoding is RLP, whose decoder refuses every second spelling of a value, so bytes and meaning are one to one and a
// block's hash is defined by its bytes. The format is complete from block 1: parts that a chain does not use yet are
// present and empty. Golden bytes are under testdata.
//
//	header.ParentQC    = TaggedHash("alys/qc/1", rlp(parent's quorum certificate))
//	header.PayloadHash = the payload's execution block hash (it covers requests and parent beacon root)
//	header.BodyRoot    = TaggedHash("alys/body/1", root of each other part, in field order)
//	root of a part     = TaggedHash("alys/part/1", rlp(part))
package block
