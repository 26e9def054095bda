// Package executor is the engine plugin that the built-in engines are: their settings, lifecycle and the two ways to
// execute, embedded and external. What a built-in has of its own is a Variant.
package executor
