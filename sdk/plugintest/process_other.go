//go:build !linux

package plugintest

import "syscall"

// processGroup gives the plugin a group of its own.
func processGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
