package devnet

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is one living process of a node: the node itself, a plugin, or what they started.
type Process struct {
	PID  int
	Name string        // of its executable; of a plugin, its kind and label
	RSS  uint64        // resident memory in bytes
	CPU  time.Duration // used since its start
}

// Processes finds every process that has to do with the node's data folder, by command line, environment, executable or
// working folder. Zombies count.
func (n *Node) Processes() []Process {
	n.t.Helper()
	names := n.pluginNames()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		n.t.Fatal(err)
	}
	var out []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !n.owns(pid) {
			continue
		}
		p, err := ReadProcess(pid)
		if err != nil {
			continue // it ended just now
		}
		if name, ok := names[pid]; ok {
			p.Name = name
		}
		out = append(out, p)
	}
	return out
}

// pluginNames names the plugins by pid, while the node answers: a plugin's executable is called by its digest.
func (n *Node) pluginNames() map[int]string {
	names := map[int]string{}
	if n.PID() == 0 {
		return names
	}
	s, _ := n.TryStatus()
	for role, r := range s.Roles {
		for _, g := range r.Generations {
			names[g.PID] = role + "." + g.Plugin
		}
	}
	return names
}

func (n *Node) owns(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	for _, name := range []string{"cmdline", "environ"} {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err == nil && strings.Contains(string(raw), n.Dir) {
			return true
		}
	}
	for _, name := range []string{"exe", "cwd"} {
		if path, err := os.Readlink(filepath.Join(dir, name)); err == nil && strings.HasPrefix(path, n.Dir) {
			return true
		}
	}
	return pid == n.PID()
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// ReadProcess reads what the kernel tells of a process.
func ReadProcess(pid int) (Process, error) {
	p := Process{PID: pid}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	open, end := strings.IndexByte(string(raw), '('), strings.LastIndexByte(string(raw), ')')
	p.Name = string(raw[open+1 : end])
	fields := strings.Fields(string(raw[end+1:])) // from field 3, the state
	user, err1 := strconv.ParseUint(fields[11], 10, 64)
	system, err2 := strconv.ParseUint(fields[12], 10, 64)
	pages, err3 := strconv.ParseUint(fields[21], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return p, fmt.Errorf("stat of %d: %q", pid, raw)
	}
	p.CPU = time.Duration(user+system) * clockTick
	p.RSS = pages * uint64(os.Getpagesize())
	return p, nil
}

// UntilGone waits until no process of the node is left.
func (n *Node) UntilGone(limit time.Duration) {
	n.t.Helper()
	end := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := n.Processes()
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			n.t.Fatalf("processes left behind after %s: %+v", limit, left)
		}
		<-tick.C
	}
}

// Sockets lists the sockets below the data folder.
func (n *Node) Sockets() []string {
	n.t.Helper()
	var out []string
	err := filepath.WalkDir(n.Dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type()&os.ModeSocket != 0 {
			out = append(out, strings.TrimPrefix(path, n.Dir+"/"))
		}
		return nil // what goes away while we walk is not there
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// killTree ends what is left running after the node was killed and its plugins had the time to notice.
func (n *Node) killTree() {
	for end := time.Now().Add(5 * time.Second); len(n.Processes()) > 0 && time.Now().Before(end); {
		<-time.After(20 * time.Millisecond)
	}
	for _, p := range n.Processes() {
		n.t.Errorf("process left behind: %+v", p)
		_ = syscall.Kill(p.PID, syscall.SIGKILL) // it may have ended just now
	}
}
