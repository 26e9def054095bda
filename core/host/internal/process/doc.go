// Package process starts and ends operating-system processes the way the plugin host needs them: each in a process
// group of its own, dying with the host, with pipes that can always be closed, and never signalled after it is reaped.
//
// It is written for Linux: parent-death signals, waiting without reaping and /proc have no portable equivalent.
package process
