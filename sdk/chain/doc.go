// Package chain is the vocabulary that alys and its plugins share: hashes, heights, slots, amounts, the canonical block
// header and the execution payload.
//
// It imports only the standard library, so that a plugin author reads types and not machinery. Quantities have types of
// their own: a Height is never passed where a Slot is meant. All integers in encodings are big-endian unless a comment
// says otherwise; all hashes and addresses are held and shown in natural (as-hashed) byte order.
package chain
