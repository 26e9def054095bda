package process

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit returns when the child is dead, and leaves it unreaped, so that its pid and group id cannot be reused yet.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func signalGroup(pgid int, sig syscall.Signal) { _ = syscall.Kill(-pgid, sig) }

func forbidCore(pid int) {
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
}

// NoExec reports whether the file system of dir is mounted noexec.
func NoExec(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0
}

// How long KillByEnv waits for what it killed to be gone, and how often it looks.
const (
	afterKill = 2 * time.Second
	lookAgain = 2 * time.Millisecond
)

// KillByEnv kills every process of this user, except this one, whose environment began with the entry, and returns how
// many, once they are gone: what they held is free then, and none of them has started another meanwhile. It finds the
// descendants of a plugin that left its process group, or that outlived a killed host; one that also cleared its
// environment is not found.
func KillByEnv(entry string) int {
	killed, alive := 0, map[int]struct{}{}
	for end := time.Now().Add(afterKill); ; <-time.After(lookAgain) {
		found := withEnv(entry)
		for _, pid := range found {
			if _, again := alive[pid]; !again && syscall.Kill(pid, syscall.SIGKILL) == nil {
				alive[pid] = struct{}{}
				killed++
			}
		}
		maps.DeleteFunc(alive, func(pid int, _ struct{}) bool { return dead(pid) })
		if len(found) == 0 && len(alive) == 0 || time.Now().After(end) {
			return killed
		}
	}
}

// dead reports that a process has given back what it held: its files go after its memory, and so after its environment.
func dead(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte{' '})
	return bytes.HasPrefix(state, []byte("Z")) || bytes.HasPrefix(state, []byte("X"))
}

// withEnv lists the processes, except this one, whose environment began with the entry. A dead one has none.
func withEnv(entry string) []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = proc.Close() }()
	names, _ := proc.Readdirnames(-1)
	var out []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err == nil && pid != os.Getpid() && hasEnv(pid, entry) {
			out = append(out, pid)
		}
	}
	return out
}

func hasEnv(pid int, entry string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if string(e) == entry {
			return true
		}
	}
	return false
}
