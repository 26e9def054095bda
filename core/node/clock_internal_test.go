package node

import (
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/spec"
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
