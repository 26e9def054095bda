package node

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/telemetry"
	"github.com/alys-node/alys/sdk/chain"
)

// The clock of a process cannot be set back from outside of a Go program, so the words are tested here, and that nothing
// is signed in core/guard (TestClockOneHourBackwardRefusesWithoutRecording) and core/driver (TestClockOneHourBack).
func TestClockOneHourBackIsToldWithWhatToDo(t *testing.T) {
	s := spec.Dev()
	now := time.Unix(1_795_000_000, 0)
	head := s.SlotAt(chain.UnixMilli(now.UnixMilli()))
	tests := []struct {
		name string
		now  time.Time
		want string
	}{
		{"the clock is right", now, ""},
		{"the clock is ahead", now.Add(time.Hour), ""},
		{"the clock is a moment late", now.Add(-time.Second), ""},
		{"the clock is one hour back", now.Add(-time.Hour), "is 1h0m0s behind the chain's head: check NTP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := behindHead(s, head, tt.now)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// alike is the clocks of so many peers, ahead of ours by the same time.
func alike(skew time.Duration, peers int) network.Clocks {
	return network.Clocks{Skew: skew, Peers: peers, Known: peers >= 2}
}

func TestAClockThatIsOffIsToldOnceAndWithWhatToDo(t *testing.T) {
	const alarm = "ALARM the clock of this machine is "
	type look struct {
		clocks network.Clocks
		said   string // the beginning of what is told at this look; "" is nothing
	}
	tests := []struct {
		name  string
		signs bool
		looks []look
	}{
		{"a little off is right", true, []look{{alike(0, 0), ""}, {alike(time.Second, 2), ""}, {alike(-time.Second, 2), ""}}},
		{"too few peers say nothing", true, []look{{network.Clocks{Peers: 1}, ""}}},
		{"off and right again", true, []look{
			{alike(0, 3), ""},
			{alike(3*time.Second, 3), alarm + "3s behind the median of 3 configured peers"},
			{alike(3*time.Second, 3), ""},
			{alike(900*time.Millisecond, 3), ""},
			{alike(1100*time.Millisecond, 3), ""}, // on the edge
			{alike(400*time.Millisecond, 3), "the clock of this machine is right again"},
			{alike(0, 3), ""},
			{alike(-time.Hour, 3), alarm + "1h0m0s ahead of the median"},
		}},
		{"peers that leave prove nothing", true, []look{{alike(3*time.Second, 2), alarm}, {network.Clocks{Peers: 1}, ""}, {alike(3*time.Second, 2), ""}}},
		{"without keys it is no alarm", false, []look{{alike(3*time.Second, 3), ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var clocks network.Clocks
			var said []string
			w := &clockWatch{
				clocks: func() network.Clocks { return clocks }, signs: func() bool { return tt.signs }, metrics: telemetry.New("v", "c"),
				log: hclog.NewNullLogger(), say: func(text string) { said = append(said, text) },
			}
			for i, l := range tt.looks {
				clocks, said = l.clocks, nil
				w.look()
				if got := strings.Join(said, "|"); (got == "") != (l.said == "") || !strings.HasPrefix(got, l.said) {
					t.Errorf("look %d: said %q, want %q", i, got, l.said)
				}
				if got := testutil.ToFloat64(w.metrics.ClockSkew); got != l.clocks.Skew.Seconds() {
					t.Errorf("look %d: the metric is %v", i, got)
				}
				if got := testutil.ToFloat64(w.metrics.ClockPeers); got != float64(l.clocks.Peers) {
					t.Errorf("look %d: the metric of peers is %v", i, got)
				}
			}
		})
	}
}

func TestAnAuthorityWhoseClockNobodyChecksIsTold(t *testing.T) {
	tests := []struct {
		name               string
		authorities, named int
		want               bool
	}{
		{"alone", 1, 0, false},
		{"of two", 2, 1, false},
		{"of three that name each other", 3, 2, false},
		{"of three that name one", 3, 1, true},
		{"of fifteen that are found by bootnodes", 15, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := unchecked(tt.authorities, tt.named); (got != "") != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}
