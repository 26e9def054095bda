// Package guard is the host's record of what was signed. It stands in front of every signer and outlives every swap,
// fallback, crash and restart.
//
// One rule: an authority key approves at most one block a slot, in increasing slots, and never at a lower height than
// before. The height clause is what makes "safe" survive restarts: three notarized blocks in a row share a voter with
// any rival, and that voter cannot go back down. For peg-outs: a Bitcoin outpoint is signed for the versions of one
// payment only, and only when the payment's block is finalized.
//
// The order is always decide, persist, sign, keep. ReserveApproval decides and returns when the decision is durable;
// only then may a signer be asked; Complete keeps the signature. The same request again gets the recorded answer. A
// reservation without a signature (a crash came between) may be signed again, because it is the same block, unless a floor
// was raised over it since: another guard then may have let another block be signed.
//
// Refusing and failing differ. A refusal (RefusedError, errors.Is signer.ErrRefused) is an answer: the rule forbids the
// request, and asking again changes nothing. Any other error is a failure: the guard could not decide or could not
// record (an unreadable store, a full disk), and nothing may be signed either. The guard fails closed.
//
// Records form a hash chain for each key of each chain (genesis hash and key id). Open and every reload check the whole
// kept chain: a gap, a changed record, or a tail that is not the one the store promised is ErrCorrupt, and that key
// signs nothing until its store is restored from a backup. A hash chain cannot show that an older, whole copy was put back
// (a restored disk image): the floors of the signers' own guards and the doppelgänger watch are for that.
//
// An outpoint leaves its payment in one way only: a finalized block voids an input of the payment, which can then never
// confirm. ReleaseBitcoin frees the outpoints that are left for other payments, and bars the payment for ever.
//
// Trimming: the store may drop approvals that are further back than Window; every later record carries the watermark
// that they led to. Bitcoin records are kept for ever, because an outpoint
// never becomes free by age.
package guard
