package blackboxtest

import (
	"bytes"
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
		if env, err := os.ReadFile(filepath.Join(dir, "environ")); err == nil && bytes.Contains(env, entry) {
			out = append(out, pid)
		}
	}
	return out
}

// alive is false for a process that is gone, or that only waits for somebody to ask how it ended.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// frozen reports whether a process is stopped by a signal.
func frozen(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "T")
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
func descriptors(pid int) int {
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		return 0
	}
	return len(fds)
}

// Access modes in /proc/PID/fdinfo (fcntl.h).
const (
	accessMask = 0o3
	readOnly   = 0o0
)

// written are the regular files that a process has open for writing.
func written(pid int) []string {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err != nil || !filepath.IsAbs(target) || strings.HasPrefix(target, "/dev/") || strings.HasPrefix(target, "/memfd:") {
			continue
		}
		info, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "fdinfo", fd.Name()))
		if err == nil && flagsOf(info)&accessMask != readOnly {
			out = append(out, target)
		}
	}
	return out
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
