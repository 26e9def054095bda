// Package route decides which generation of a plugin answers a call.
//
// A Route stands above the generations of one role. It has a primary and, optionally, a fallback (asked when the primary
// gives no answer), a shadow (asked too, compared, never used), a canary (answers a share of the slots) and, while a swap
// is in probation, the warm old primary. The code is generic over the client type C, so that one piece serves every kind:
//
//   - Call is for requests without an order (a signer): primary, then fallback.
//   - Writer is for a plugin with one order of writes (an engine): every plugin of the route is driven with the same
//     writes, each in its own lane, and the position chosen for the slot answers.
//   - Stream is for a plugin that decides by itself (a sync strategy): sessions with epochs.
//
// An answer is a result that passed its check, or an error that the kind calls an answer (a signer's refusal, carried in
// Opts.IsAnswer). Everything else is no answer: an error, a missed deadline, a plugin that is down, a reply that failed
// its check. Only no answer leads to the fallback. The fallback is sticky: the recovered primary is asked as a shadow
// until Promote.
//
// Deadlines are shares of the budget of a request: the primary has 40 %, the fallback 30 %. A canary has 30 % before the
// primary, so that a canary that fails is answered by the primary in the same slot.
//
// Some targets are on trial (Options.OnTrial): a migration is bringing them in. Against a plugin that has proved itself their
// verdict never stands: a writer that has the answer of a primary on trial waits for the fallback, or the warm old primary,
// within its share, and on a disagreement uses that one's answer and falls back. So a newcomer that is wrong costs no request.
//
// Set flips all positions at once. A call works on the positions that it started with; Drain waits for such calls before
// a generation is retired. Hold makes new calls wait, with their own deadline, until Release. No call fails because of
// Set, Hold followed in time by Release, or Drain.
//
// A route starts goroutines only for work in its queues (shadows, lanes) and Close waits for them.
package route
