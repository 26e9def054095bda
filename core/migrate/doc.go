// Package migrate moves a role from one plugin to another, step by step, while the node goes on.
//
// A Schedule is a list of routes with gates between them. A run of it is one pass from the route that is applied when it
// starts to the schedule's last route, or back to where it began:
//
//	planned → preparing → soaking → (awaiting_approval) → preparing of the next step … → finished
//	any of them → paused, holding → back to its place
//	any of them → rolling_back → rolled_back
//	any of them → aborted, which leaves the applied route
//
// The Controller journals what it is going to do before it does it. The log is one hash-chained file and is the audit log
// too: every entry is an intent before an act, a decision with its numbers, or a person's word with their name. The state
// of every run is a pure function of the log (fold.go), so a node that was killed at any record comes back to the same
// place, looks at the route that is applied, and goes on.
//
// Gates answer pass, fail or not enough data. Rates are judged by Wald's sequential test, which may be looked at as often
// as one likes without its promise getting worse; a disagreement on correctness is not a rate, and one is enough.
//
// The package knows no route, no swap and no plugin: the node hands in Roles, a Meter, Backups and a Log (FileLog is here).
package migrate
