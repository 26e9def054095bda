package main

import (
	"os"
	"os/exec"
	"syscall"
)

// strayMode is what LIAR is in a leaked child.
const strayMode = "stray"

// leak starts a child twice removed, in a session of its own: its parent ends at once, so that it belongs to nobody, and
// it holds the plugin's stdout and stderr.
func leak() {
	exe, err := os.Executable()
	if err != nil {
		return
	}
	for _, depth := range []string{"", "again"} { // one child, and one whose parent ends at once
		c := exec.Command(exe, depth)
		c.Env = append(os.Environ(), "LIAR="+strayMode)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if c.Start() == nil && depth != "" {
			_ = c.Wait()
		}
	}
}

// stray is a leaked child: it stays, or leaves one behind and ends.
func stray() {
	if len(os.Args) > 1 && os.Args[1] == "again" {
		c := exec.Command("/proc/self/exe")
		c.Env, c.Stdout, c.Stderr = os.Environ(), os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		_ = c.Start()
		os.Exit(0)
	}
	select {}
}
