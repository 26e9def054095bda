// Package consensus decides, on headers and signatures alone, which block an authority builds on, which it approves,
// what is notarized and what is safe: Streamlet (Chan and Shi, 2020) on Aura slots. Pure: no clock, no I/O, no
// goroutine; the same inputs give the same effects.
//
// # The rules
//
// Every slot has one author. It proposes on the tip of the longest notarized chain it knows (ties: highest slot, then
// lowest hash), after waiting up to a quarter of the slot for the certificate of the previous slot. An authority approves
// the first approvable proposal of the slot's author whose parent is notarized by the certificate that it carries and is
// no lower than the highest notarized block seen; its own approvals go up in slots and never down in height. Approvals of
// ceil(2n/3) authorities notarize. Three notarized blocks, each the parent of the next, in consecutive slots and under
// one authority set, make the first two, and all before them, safe.
//
// Why that is safe: let a, b, c at heights h, h+1, h+2 be such three, in slots s, s+1, s+2. Two quorums share an honest
// authority, so a rival of b at height h+1 in slot t needs one of its voters to have voted in the three as well. t is
// none of the three slots, for it approves once a slot. If t < s, it had approved height h+1 and then a at height h,
// which its guard forbids. If t > s+2, it had approved c, so it had seen b notarized, and then a block whose parent is
// at height h, which the height rule forbids while the machine runs and the guard's height clause after a restart.
// When an approval is made does not matter, only the order of slots: late proposals may be approved.
//
// # How it is driven
//
// One goroutine owns a Machine. It gives inputs to Step, carries the returned effects out in their order, and gives
// the answers back as inputs. NextWake says when a Tick is due without any other input. Whole blocks stay with the
// driver, which keeps the body of every block that it reported until Drop names it.
//
// The life of an own block: Tick → Build → Built → Judge → Judged → Sign → Signed → SendProposal, and, when the
// approvals make a quorum, Persist (the certificate) → SendCertificate → Advance. A foreign block enters by
// ProposalReceived and goes on from Judge, ending in SendApproval.
package consensus
