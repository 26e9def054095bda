// Package supervise keeps one unit (a process, in the host) alive: it asks for health, ends what no longer answers,
// replaces what died after a growing pause, and opens a breaker when deaths come too often.
//
// It knows nothing of processes or plugins and takes all time from the time package, so that its tests run in a
// synctest bubble.
package supervise
