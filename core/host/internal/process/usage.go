package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, which Linux fixes at 100 on every architecture that Go supports.
const ticksPerSecond = 100

// Usage is what a process uses now.
type Usage struct {
	RSS       uint64        // resident bytes
	CPU       time.Duration // user and system time since its start
	OpenFiles int
}

// UsageOf reads /proc; it fails where there is none, and for a process that is gone.
func UsageOf(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	statm, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return Usage{}, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("read times of process %d: %w", pid, err)
	}
	u, err := parseUsage(statm, stat)
	if err != nil {
		return Usage{}, fmt.Errorf("parse usage of process %d: %w", pid, err)
	}
	if fds, err := os.ReadDir(dir + "/fd"); err == nil {
		u.OpenFiles = len(fds)
	}
	return u, nil
}

// parseUsage reads the second field of statm (resident pages) and fields 14 and 15 of stat, counted from 1 (utime,
// stime). The command name in stat may hold spaces and brackets, so fields are counted from the last bracket.
func parseUsage(statm, stat []byte) (Usage, error) {
	mem := strings.Fields(string(statm))
	end := bytes.LastIndexByte(stat, ')')
	if len(mem) < 2 || end < 0 {
		return Usage{}, fmt.Errorf("unexpected format")
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 13 {
		return Usage{}, fmt.Errorf("unexpected format")
	}
	var n [3]uint64
	for i, s := range []string{mem[1], fields[11], fields[12]} {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return Usage{}, err
		}
		n[i] = v
	}
	return Usage{
		RSS: n[0] * uint64(os.Getpagesize()),
		CPU: time.Duration(n[1]+n[2]) * time.Second / ticksPerSecond,
	}, nil
}
