package host

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// Name says which process something is about.
type Name struct {
	Kind       lifecycle.Kind
	Label      string
	Generation uint64 // 0 for a probe
}

// Started tells that a generation came up.
type Started struct {
	Name
	PID  int
	Took time.Duration // from exec to ready or locked
}

// Exited tells that a generation that had come up ended.
type Exited struct {
	Name
	Asked  bool // the host ended it on purpose; otherwise it crashed or was found frozen
	Reason string
	Panic  string // the text of a Go panic, if one was printed
}

// Call tells that a call ended.
type Call struct {
	Name
	Method  string // "alys.signer.v1.Signer/Approve"
	Latency time.Duration
	Code    codes.Code
}

// Sample is what a process uses, taken at each health question.
type Sample struct {
	Name
	Stats Stats
}

// Observer hears what happens to plugins; core/telemetry turns it into metrics. Methods are called from many
// goroutines and must not block.
type Observer interface {
	PluginStarted(Started)
	PluginExited(Exited)
	PluginCalled(Call)
	PluginSampled(Sample)
}

// Stats is what a generation uses and has done.
type Stats struct {
	RSS         uint64        // resident bytes
	CPU         time.Duration // user and system time since the start
	OpenFiles   int
	Uptime      time.Duration
	InFlight    int
	Calls       uint64
	Errors      uint64 // calls that gave no answer: the plugin's refusals and verdicts are answers
	LinesLost   uint64 // log lines dropped by the rate limit
	HealthFails int    // failures in a row
}

// quiet is the Observer of a host that was given none.
type quiet struct{}

func (quiet) PluginStarted(Started) {}
func (quiet) PluginExited(Exited)   {}
func (quiet) PluginCalled(Call)     {}
func (quiet) PluginSampled(Sample)  {}
