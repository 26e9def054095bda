package blackboxtest

import "syscall"

// ownGroup gives a process a group of its own, and lets it die with the suite.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
