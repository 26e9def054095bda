package devnet

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// starvedShare is the share of time in which a process waited for a CPU above which slots cannot be judged: a slot is a
// deadline, and a machine that is busy with something else misses it whatever the node does.
const starvedShare = 0.5

// pressure is the kernel's count of time in which some process waited for a CPU.
type pressure struct {
	at     time.Time
	waited time.Duration
}

func readPressure() pressure {
	p := pressure{at: time.Now()}
	raw, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return p // a kernel that does not tell: nothing is excused
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	_, total, _ := strings.Cut(line, "total=")
	if micros, err := strconv.ParseInt(total, 10, 64); err == nil {
		p.waited = time.Duration(micros) * time.Microsecond
	}
	return p
}

// Starved reports whether processes of this machine waited for a CPU for most of the time since the node was made, and
// the share of it.
func (n *Node) Starved() (share float64, starved bool) {
	now := readPressure()
	share = (now.waited - n.pressure.waited).Seconds() / now.at.Sub(n.pressure.at).Seconds()
	return share, share > starvedShare
}
