package plugintest

import "syscall"

// processGroup gives the plugin a group of its own and lets it die with the test's process.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
