package network

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alys-node/alys/sdk/chain"
)

// refusals reports what a network remembers of why it does not speak with another.
func (r *running) refusalOf(other *running) string {
	for _, b := range r.Barred() {
		if b.ID == other.ID() {
			return b.Reason
		}
	}
	return ""
}

// O-4: block 1 was refused with MissingParent on new nodes whose genesis was another, and nothing on the wire said so.
func TestO4_AMismatchIsNamedAndRefusedOnBothSides(t *testing.T) {
	schedule := func(axis string, changes ...Change) Schedule { return Schedule{Axis: axis, Changes: changes} }
	for _, test := range []struct {
		name          string
		theirs        setup
		here, there   string // what each side names
		label, mirror string
	}{
		{"another genesis", func(o *Options) { o.Genesis = chain.Hash{0xbb} }, "genesis 0xbb", "genesis 0xa115", "other_chain", "other_chain"},
		{"another chain id", func(o *Options) { o.Source = otherID{o.Source} }, "chain id 8, ours is 7", "chain id 7, ours is 8", "other_chain", "other_chain"},
		{
			"a height schedule of its own", func(o *Options) { o.Heights = schedule("height", Change{At: 5, Digest: chain.Hash{5}}) },
			"another schedule of heights", "a change of the schedule", "other_schedule", "peer_outdated",
		},
		{
			"a slot schedule of its own", func(o *Options) { o.Slots = schedule("slot", Change{At: 5, Digest: chain.Hash{5}}) },
			"another schedule of slots", "a change of the schedule", "other_schedule", "peer_outdated",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := start(t)
			b := start(t, dialling(a), test.theirs)
			eventually(t, "both sides know why", func() bool { return a.refusalOf(b) != "" && b.refusalOf(a) != "" })
			if got := a.refusalOf(b); !strings.Contains(got, test.here) {
				t.Errorf("here it is %q, want %q", got, test.here)
			}
			if got := b.refusalOf(a); !strings.Contains(got, test.there) {
				t.Errorf("there it is %q, want %q", got, test.there)
			}
			if len(a.Peers()) != 0 || len(b.Peers()) != 0 {
				t.Error("they are peers all the same")
			}
			if got := testutil.ToFloat64(a.metrics.PeerRefusals.WithLabelValues(test.label)); got != 1 {
				t.Errorf("%v refusals counted here", got)
			}
			if got := testutil.ToFloat64(b.metrics.PeerRefusals.WithLabelValues(test.mirror)); got != 1 {
				t.Errorf("%v refusals counted there", got)
			}
		})
	}
}

type otherID struct{ Source }

func (o otherID) Status() Status {
	s := o.Source.Status()
	s.ChainID = 8
	return s
}

// A refusal is remembered: neither side dials, and the other is not let in, until it is over.
func TestARefusalIsNoStorm(t *testing.T) {
	a := start(t)
	b := start(t, dialling(a), func(o *Options) { o.Genesis = chain.Hash{0xbb} })
	eventually(t, "both sides know why", func() bool { return a.refusalOf(b) != "" && b.refusalOf(a) != "" })
	now := time.Now()
	if !a.book.barred(b.peerID(), now) || !b.book.barred(a.peerID(), now) {
		t.Error("they may connect again at once")
	}
	if got := b.book.due(now, nobody, 10, alone); len(got) != 0 {
		t.Errorf("%v is dialled at once", got)
	}
	if b.gate.InterceptPeerDial(a.peerID()) || a.gate.allowed(b.peerID()) {
		t.Error("the gate is open")
	}
	if err := a.Pardon(b.name()); err != nil || a.book.barred(b.peerID(), now) {
		t.Errorf("pardon: %v", err)
	}
	wantError(t, a.Pardon("nonsense"), ErrUnknownPeer)
}

func TestOnlyAllowedPeersAreAdmitted(t *testing.T) {
	friend := start(t)
	a := start(t, func(o *Options) { o.AllowPeers = []string{friend.ID()} })
	stranger := start(t, dialling(a))
	eventually(t, "the stranger is told", func() bool { return strings.Contains(stranger.refusalOf(a), "allow_peers") })
	if len(a.Peers()) != 0 {
		t.Error("the stranger is a peer")
	}
	second := start(t, inDir(friend.dir), func(o *Options) { o.Listen = "" }, dialling(a))
	second.meets(a)
}

func TestAFullNodeAdmitsStaticPeersOnly(t *testing.T) {
	friend := start(t)
	a := start(t, dialling(friend), func(o *Options) { o.MaxPeers, o.TargetPeers = 1, 1 })
	a.meets(friend)
	other := start(t, dialling(a))
	eventually(t, "the other is told", func() bool { return strings.Contains(other.refusalOf(a), ErrFull.Error()) })
}

// Two peers that dial each other at the same moment are one pair of peers.
func TestPeersThatDialEachOther(t *testing.T) {
	dirA, dirB := t.TempDir(), t.TempDir()
	a := start(t, inDir(dirA))
	b := start(t, inDir(dirB))
	addrA, addrB := a.Addresses(), b.Addresses()
	listen := func(addrs []string) string {
		parts := strings.Split(addrs[0], "/")
		return parts[2] + ":" + parts[4]
	}
	a.stop()
	b.stop()
	a = start(t, inDir(dirA), func(o *Options) { o.Listen, o.StaticPeers = listen(addrA), addrB })
	b = start(t, inDir(dirB), func(o *Options) { o.Listen, o.StaticPeers = listen(addrB), addrA })
	a.meets(b)
	if a.ID() == b.ID() || !strings.HasSuffix(addrA[0], a.ID()) {
		t.Error("an identity did not survive the restart")
	}
}

func TestRefusalsAreTellable(t *testing.T) {
	for _, err := range []error{
		ErrOtherChain, ErrOtherVersion, ErrOtherSchedule, ErrPeerOutdated, ErrWeOutdated, ErrNotAllowed, ErrFull, ErrMalformed, errPeerRefused,
	} {
		if !refused(err) || refusalLabel(err) == "" {
			t.Errorf("%v is no refusal", err)
		}
	}
	if refused(errors.New("connection reset")) {
		t.Error("an accident is a refusal")
	}
}
