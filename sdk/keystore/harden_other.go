//go:build !linux

package keystore

// Harden does nothing where the system has no such means.
func Harden() error { return nil }
