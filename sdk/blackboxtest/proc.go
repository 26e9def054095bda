package blackboxtest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The functions of this file read /proc. Elsewhere than on Linux they find nothing, and hasProc says so.

func hasProc() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
}

// descendants are the processes, in any group or session, that were started with the plugin's environment and still run.
// One that closes its environment to others of its user is known by its group or its parent.
func (p *plug) descendants() []int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	entry := []byte("PLUGIN_UNIX_SOCKET_DIR=" + p.sockets + "\x00")
	var out []int
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !alive(pid) {
			continue
		}
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if bytes.Contains(env, entry) || errors.Is(err, os.ErrPermission) && p.isRelative(pid) {
			out = append(out, pid)
		}
	}
	return out
}

// isRelative reports whether a process is of the plugin's group, or a child of the plugin.
func (p *plug) isRelative(pid int) bool {
	fields := strings.Fields(stat(pid)) // state, parent, group, …
	if len(fields) < 3 {
		return false
	}
	return fields[1] == strconv.Itoa(p.process.pid) || fields[2] == strconv.Itoa(p.process.cmd.Process.Pid)
}

// stat is what /proc/PID/stat says after the process' name; empty for a process that is gone.
func stat(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	return string(text[bytes.LastIndexByte(text, ')')+1:])
}

// alive is false for a process that is gone, or that only waits for somebody to ask how it ended.
func alive(pid int) bool {
	state := strings.TrimSpace(stat(pid))
	return state != "" && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// frozen reports whether a process is stopped by a signal.
func frozen(pid int) bool {
	return strings.HasPrefix(strings.TrimSpace(stat(pid)), "T")
}

// name is a process' command, for messages.
func name(pid int) string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return strconv.Itoa(pid)
	}
	return strconv.Itoa(pid) + " (" + strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " ")) + ")"
}

// descriptors is how many file descriptors a process holds.
func descriptors(pid int) (int, error) {
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return len(fds), err
}

// Access modes in /proc/PID/fdinfo (fcntl.h).
const (
	accessMask = 0o3
	readOnly   = 0o0
)

// written are the regular files that a process has open for writing.
func written(pid int) ([]string, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err != nil || !filepath.IsAbs(target) || strings.HasPrefix(target, "/dev/") || strings.HasPrefix(target, "/memfd:") {
			continue
		}
		info, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "fdinfo", fd.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err == nil && flagsOf(info)&accessMask != readOnly {
			out = append(out, target)
		}
	}
	return out, nil
}

// unseen ends a row in which the process' descriptors could not be read: that nothing was found says nothing then.
func (c *check) unseen(p *plug, err error) {
	c.Helper()
	switch {
	case err == nil || !hasProc() || c.Failed():
	case errors.Is(err, os.ErrPermission):
		c.notRun("run the suite as root: the plugin closes itself to other processes of its user, so its descriptors cannot be read: " + err.Error())
	default:
		c.fatal("the process goes on, and its descriptors can be read", "%s; %s", err, p.said())
	}
}

func flagsOf(fdinfo []byte) uint64 {
	_, after, ok := strings.Cut(string(fdinfo), "flags:")
	if !ok {
		return readOnly
	}
	flags, err := strconv.ParseUint(strings.Fields(after)[0], 8, 64)
	if err != nil {
		return readOnly
	}
	return flags
}

// eventually waits until done is true.
func eventually(patience time.Duration, done func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			return done()
		}
	}
	return true
}
