// Package watermark is a signer's own guard: beside the host's, so that neither has to be trusted alone.
//
// For an approval key it keeps the rule of sdk/signer: at most one block a slot, in increasing slots, never at a lower
// height; the same block again is allowed. For Bitcoin: an outpoint belongs to one payment, and all versions of a
// payment spend the same outpoints. Every decision is on disk (fsynced) before it is answered. The signatures
// themselves are not kept: they are deterministic, so the same request gets the same bytes.
//
// Each key has a file of its own, and Bitcoin has one, in a folder of the chain (by genesis hash). A file is lines, each
// a JSON record after the hash of itself and the line before. A last line that does not end was being written when the
// process died: it was never answered, so it is cut off. A whole line with a wrong hash is damage: the guard does not
// open, because what was lost might have been signed.
//
// Two processes cannot hold one folder. Two signers over the same keys have folders of their own, and the host raises
// the floor of the one that takes over.
package watermark
