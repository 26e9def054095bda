package devnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Link is how packets travel between two machines of a LAN, in one direction.
type Link struct {
	Delay, Jitter time.Duration // each packet takes Delay ± Jitter, drawn evenly; packets overtake each other
	Loss          float64       // share of packets that do not arrive
}

// LAN puts nodes on machines of their own, as far as networks go: each in a network namespace, joined by a switch in this
// process that delays, loses and cuts what goes between them. It needs root and /dev/net/tun.
type LAN struct {
	t     testing.TB
	hosts []*lanHost

	mu    sync.Mutex
	link  Link  // guarded by mu
	group []int // guarded by mu; hosts of different groups do not reach each other
	sent  int   // guarded by mu; packets between hosts
	lost  int   // guarded by mu; of them, by Link.Loss and by cuts
}

// lanHost is one machine.
type lanHost struct {
	space string // name of the namespace
	addr  netip.Addr
	tun   *os.File
}

// lanMTU is the size of a packet at the most.
const lanMTU = 1500

// lanAddress is the address of host i.
func lanAddress(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}) }

// NewLAN moves nodes that do not run yet to machines of their own.
func NewLAN(t testing.TB, nodes []*Node) *LAN {
	t.Helper()
	l := &LAN{t: t, group: make([]int, len(nodes))}
	t.Cleanup(l.close)
	addresses := make(map[string]string, len(nodes)) // of peers, as the configurations have them and as they become
	own := regexp.MustCompile(`(listener "p2p" \{\n  address = ")127\.0\.0\.1:(\d+)"`)
	for i, n := range nodes {
		h := &lanHost{space: fmt.Sprintf("alys-%d-%d", os.Getpid(), i), addr: lanAddress(i)}
		if err := h.open(); err != nil {
			t.Fatalf("machine %d of the LAN (root and /dev/net/tun are needed): %v", i, err)
		}
		l.hosts = append(l.hosts, h)
		n.space = h.space
		m := own.FindStringSubmatch(n.config())
		if m == nil {
			t.Fatalf("no p2p listener in %s", n.Config())
		}
		n.Edit(m[0], fmt.Sprintf(`%s%s:%s"`, m[1], h.addr, m[2]))
		addresses["/ip4/127.0.0.1/tcp/"+m[2]+"/"] = fmt.Sprintf("/ip4/%s/tcp/%s/", h.addr, m[2])
	}
	for _, n := range nodes {
		text := n.config()
		for from, to := range addresses {
			if strings.Contains(text, from) {
				n.Edit(from, to)
			}
		}
	}
	for i, h := range l.hosts {
		go l.forward(i, h)
	}
	return l
}

// Shape changes how packets travel, between all machines.
func (l *LAN) Shape(k Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.link = k
}

// Partition cuts the LAN: machines of different groups do not reach each other. One number a machine.
func (l *LAN) Partition(groups ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	copy(l.group, groups)
}

// Heal joins all machines again.
func (l *LAN) Heal() { l.Partition(make([]int, len(l.hosts))...) }

// Packets are how many were sent between machines, and how many of them did not arrive.
func (l *LAN) Packets() (sent, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent, l.lost
}

// forward reads what a machine sends, until its device is closed.
func (l *LAN) forward(from int, h *lanHost) {
	buffer := make([]byte, lanMTU)
	for {
		n, err := h.tun.Read(buffer)
		if err != nil {
			return
		}
		to := l.hostOf(buffer[:n])
		if to < 0 || to == from {
			continue
		}
		wait, ok := l.draw(from, to)
		if !ok {
			continue
		}
		packet := append([]byte(nil), buffer[:n]...)
		deliver := func() { _, _ = l.hosts[to].tun.Write(packet) } // one that is not taken is lost, as on any network
		if wait == 0 {
			deliver()
			continue
		}
		time.AfterFunc(wait, deliver)
	}
}

// hostOf is the host that an IPv4 packet is for; -1 for anything else.
func (l *LAN) hostOf(packet []byte) int {
	const destination = 16 // of an IPv4 header
	if len(packet) < destination+4 || packet[0]>>4 != 4 {
		return -1
	}
	addr := netip.AddrFrom4([4]byte(packet[destination : destination+4]))
	for i, h := range l.hosts {
		if h.addr == addr {
			return i
		}
	}
	return -1
}

// draw says how long a packet travels; false when it does not arrive.
func (l *LAN) draw(from, to int) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if l.group[from] != l.group[to] || rand.Float64() < l.link.Loss { //nolint:gosec // a simulation
		l.lost++
		return 0, false
	}
	wait := l.link.Delay
	if l.link.Jitter > 0 {
		wait += rand.N(2*l.link.Jitter) - l.link.Jitter //nolint:gosec // a simulation
	}
	return wait, true
}

func (l *LAN) close() {
	for _, h := range l.hosts {
		if err := errors.Join(h.tun.Close(), ip("netns", "del", h.space)); err != nil {
			l.t.Errorf("take the LAN down: %v", err)
		}
	}
}

// open makes the namespace with a device whose packets we read and write.
func (h *lanHost) open() error {
	if err := ip("netns", "add", h.space); err != nil {
		return err
	}
	err := h.openTUN()
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", h.addr.String() + "/24", "dev", "lan0"},
		{"link", "set", "lan0", "up", "mtu", fmt.Sprint(lanMTU)},
	} {
		if err == nil {
			err = ip(append([]string{"-n", h.space}, args...)...)
		}
	}
	if err != nil {
		return errors.Join(err, ip("netns", "del", h.space))
	}
	return nil
}

// openTUN makes the device. It belongs to the namespace in which it is made, so a thread goes there; the thread ends
// with its goroutine, for it is never unlocked.
func (h *lanHost) openTUN() error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			space, err := os.Open(filepath.Join("/var/run/netns", h.space))
			if err != nil {
				return err
			}
			defer space.Close() //nolint:errcheck // only read
			if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter namespace: %w", err)
			}
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
			if err != nil {
				return fmt.Errorf("open /dev/net/tun: %w", err)
			}
			request, err := unix.NewIfreq("lan0")
			if err == nil {
				request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
				err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
			}
			if err != nil {
				return errors.Join(fmt.Errorf("make device: %w", err), unix.Close(fd))
			}
			h.tun = os.NewFile(uintptr(fd), "lan0")
			return nil
		}()
	}()
	return <-done
}

// ip runs the command of that name.
func ip(args ...string) error {
	out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
