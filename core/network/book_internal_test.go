package network

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

func nobody(peer.ID) bool { return false }

func alone(*entry) int { return 0 }

// O-7: peers were lost for good after a drop. They come back with another address of the dialled side's choice, and
// after the dialler has started again.
func TestO7_AConnectionThatIsLostComesBack(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a))
	b.meets(a)
	since := b.member(a.peerID())
	if err := a.node.Network().ClosePeer(b.peerID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new connection", func() bool { m := b.member(a.peerID()); return m != nil && m != since })
}

// A peer that we were connected with is dialled after a restart, without being configured.
func TestO7_PeersAreRememberedOverARestart(t *testing.T) {
	a := start(t)
	dir := t.TempDir()
	b := start(t, inDir(dir), dialling(a))
	b.meets(a)
	id := b.ID()
	b.stop()
	b = start(t, inDir(dir))
	if b.ID() != id {
		t.Errorf("a new identity %s, was %s", b.ID(), id)
	}
	b.meets(a)
	if b.Peers()[0].Static {
		t.Error("a remembered peer is static")
	}
}

// Peers learn of each other from one that both know.
func TestPeersAreFoundThroughABootnode(t *testing.T) {
	boot := start(t)
	viaBoot := func(o *Options) { o.Bootnodes = boot.Addresses() }
	b := start(t, viaBoot)
	b.meets(boot)
	c := start(t, viaBoot)
	c.meets(boot)
	eventually(t, "the other's record has come to the bootnode", func() bool { return len(boot.records(c.peerID())) == 1 })
	c.askForPeers(t.Context(), c.member(boot.peerID()))
	c.meets(b)
}

// There is no last attempt: however often a peer was not reached, it is due again.
func TestO7_ThereIsNoLastAttempt(t *testing.T) {
	b, err := openBook(filepath.Join(t.TempDir(), "peers.json"))
	if err != nil {
		t.Fatal(err)
	}
	id, addr := somePeer(t, 1)
	b.learn(id, []multiaddr.Multiaddr{addr})
	now := time.Unix(1_000_000, 0)
	for i := range 100 {
		due := b.due(now, nobody, 1, alone)
		if len(due) != 1 {
			t.Fatalf("attempt %d: %d peers are due", i, len(due))
		}
		if again := b.due(now, nobody, 1, alone); len(again) != 0 {
			t.Fatal("it is dialled twice at once")
		}
		b.dialled(id, os.ErrDeadlineExceeded, now)
		if len(b.due(now, nobody, 1, alone)) != 0 {
			t.Fatalf("after failure %d it is dialled at once", i+1)
		}
		now = now.Add(longestPause * 12 / 10)
	}
}

func TestPausesGrowToALimitWithJitter(t *testing.T) {
	for _, test := range []struct {
		failures   uint32
		configured bool
		want       time.Duration
	}{
		{0, false, time.Second},
		{1, false, time.Second},
		{2, false, 2 * time.Second},
		{5, false, 16 * time.Second},
		{11, false, longestPause},
		{1 << 31, false, longestPause},
		{11, true, longestPauseFor},
	} {
		if got := pause(test.failures, test.configured, 0.5); got != test.want {
			t.Errorf("after %d failures %s, want %s", test.failures, got, test.want)
		}
		if low, high := pause(test.failures, test.configured, 0), pause(test.failures, test.configured, 1); low != test.want*8/10 || high != test.want*12/10 {
			t.Errorf("jitter from %s to %s around %s", low, high, test.want)
		}
	}
}

func TestOthersAreDialledUpToTheWantedNumberFromNetworksOfFewFirst(t *testing.T) {
	b, _ := openBook("")
	crowded := map[string]bool{}
	for i := range 20 {
		id, addr := somePeer(t, i)
		b.learn(id, []multiaddr.Multiaddr{addr})
		if i < 10 {
			crowded[addr.String()] = true
		}
	}
	static, addr := somePeer(t, 99)
	b.configure(peer.AddrInfo{ID: static, Addrs: []multiaddr.Multiaddr{addr}}, true)
	crowd := func(e *entry) int {
		if crowded[e.Addrs[0]] {
			return 5
		}
		return 0
	}
	due := b.due(time.Unix(1, 0), nobody, 8, crowd)
	if len(due) != 9 || due[0] != static {
		t.Fatalf("%d are dialled, want the static one and 8", len(due))
	}
	for _, id := range due[1:] {
		if crowded[b.records[id].Addrs[0]] {
			t.Error("a crowded network comes before others")
		}
	}
	if more := b.due(time.Unix(1, 0), nobody, 8, crowd); len(more) != 0 {
		t.Errorf("%d more are dialled while 8 are", len(more))
	}
	if none := b.due(time.Unix(1, 0), nobody, -3, crowd); len(none) != 0 {
		t.Errorf("%d are dialled where there are too many", len(none))
	}
}

func TestTheBookIsBoundedAndForgetsStrangersFirst(t *testing.T) {
	b, _ := openBook("")
	now := time.Unix(1_000_000, 0)
	known, addr := somePeer(t, 0)
	b.learn(known, []multiaddr.Multiaddr{addr})
	b.admitted(known, true, now)
	static, addr := somePeer(t, 1)
	b.configure(peer.AddrInfo{ID: static, Addrs: []multiaddr.Multiaddr{addr}}, true)
	for i := range maxBookPeers + 200 {
		id, addr := somePeer(t, i+10)
		b.learn(id, []multiaddr.Multiaddr{addr})
	}
	if len(b.records) != maxBookPeers || b.records[known] == nil || b.records[static] == nil {
		t.Errorf("%d records, known %v, static %v", len(b.records), b.records[known], b.records[static])
	}
	configured, fixed := b.records[static], b.addrs(static)
	for i := range 3 * maxBookAddrs {
		a, _ := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/192.0.2.%d/tcp/1", i))
		b.learn(known, []multiaddr.Multiaddr{a})
		b.learn(static, []multiaddr.Multiaddr{a})
	}
	if got := b.addrs(static); len(fixed) != 1 || !got[0].Equal(fixed[0]) || len(configured.Addrs) != maxBookAddrs {
		t.Errorf("the configured address is not among %v", got)
	}
	if got := b.addrs(known); len(got) != maxBookAddrs || got[0].String() != fmt.Sprintf("/ip4/192.0.2.%d/tcp/1", 3*maxBookAddrs-1) {
		t.Errorf("addresses %v", got)
	}
}

func TestBansSurviveARestartAndFaultsFade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	b, _ := openBook(path)
	id, addr := somePeer(t, 1)
	b.learn(id, []multiaddr.Multiaddr{addr})
	now := time.Unix(1_000_000, 0).UTC()
	for range 20 { // spread out they never add up
		if until := b.fault(id, "slow drip", now); !until.IsZero() {
			t.Fatalf("banned until %s", until)
		}
		now = now.Add(faultHalfLife)
	}
	now = now.Add(100 * faultHalfLife)
	var until time.Time
	for range 5 {
		until = b.fault(id, "burst", now)
	}
	if want := now.Add(firstBan); !until.Equal(want) {
		t.Fatalf("banned until %s, want %s", until, want)
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	b, err := openBook(path)
	if err != nil {
		t.Fatal(err)
	}
	if !b.barred(id, until.Add(-1)) || b.barred(id, until) || b.barredPeers(now)[0].Reason != "burst" {
		t.Error("the ban is forgotten, or never ends")
	}
	for range 5 {
		until = b.fault(id, "again", now)
	}
	if want := now.Add(2 * firstBan); !until.Equal(want) {
		t.Errorf("the second ban ends at %s, want %s", until, want)
	}
}

func TestABrokenBookIsSetAside(t *testing.T) {
	for name, content := range map[string]string{"no JSON": "{", "another version": `{"version":9}`, "too large": string(make([]byte, maxBookBytes+1))} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peers.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := openBook(path)
			if err == nil || len(b.records) != 0 {
				t.Fatalf("error %v, %d records", err, len(b.records))
			}
			if _, err := os.Stat(path + ".broken"); err != nil {
				t.Error(err)
			}
			id, addr := somePeer(t, 1)
			b.learn(id, []multiaddr.Multiaddr{addr})
			if err := b.save(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABookThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	b, _ := openBook(filepath.Join(dir, "peers.json"))
	id, addr := somePeer(t, 1)
	b.learn(id, []multiaddr.Multiaddr{addr})
	if b.save() == nil {
		t.Fatal("written into a folder that is not there")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	if again, err := openBook(b.path); err != nil || len(again.records) != 1 {
		t.Errorf("%d records, %v", len(again.records), err)
	}
}

func TestGroups(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/192.0.2.77/tcp/1": "192.0.2.0/24", "/ip4/192.0.2.1/udp/1/quic-v1": "192.0.2.0/24",
		"/ip6/2001:db8:1:2::3/tcp/1": "2001:db8:1::/48", "/dns4/example/tcp/1": "/dns4/example/tcp/1", "nonsense": "nonsense",
		"/ip6/::ffff:192.0.2.9/tcp/1": "192.0.2.0/24",
	} {
		if got := groupOf(addr); got != want {
			t.Errorf("%s is of %s, want %s", addr, got, want)
		}
	}
}

// somePeer is a made-up peer with an address.
func somePeer(t *testing.T, i int) (peer.ID, multiaddr.Multiaddr) {
	t.Helper()
	// An identity multihash of four bytes: a peer id by form.
	id, err := peer.IDFromBytes([]byte{0, 4, byte(i >> 16), byte(i >> 8), byte(i), 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/10.%d.%d.1/tcp/30300", i>>8, i&0xff))
	if err != nil {
		t.Fatal(err)
	}
	return id, a
}
