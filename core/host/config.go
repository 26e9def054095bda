package host

import (
	"cmp"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Block is a plugin block of alys.hcl, resolved: the secrets are in clear and must stay in memory.
type Block struct {
	Kind       lifecycle.Kind
	Label      string
	Command    string            // a name in Config.PluginDir, or an absolute path
	Checksums  []string          // "sha256:HEX"; any of them is accepted
	ConfigJSON []byte            // the value of the block's config, shaped by the plugin's schema; nil is {}
	Env        map[string]string // the plugin's whole environment, beside what the handshake needs
}

// String names the block and shows nothing of its content.
func (b Block) String() string { return fmt.Sprintf("plugin %q %q", b.Kind, b.Label) }

// GoString is String: a block must not be printed by accident.
func (b Block) GoString() string { return b.String() }

// Config is what a Host needs to know. Zero values of Timings and Limits are replaced by the defaults.
type Config struct {
	DataDir         string // the node's data folder; binaries, states, run folders live in it
	PluginDir       string // where commands without a slash are looked up
	RequireChecksum bool   // false only for development: a block without a checksum then runs
	ChainID         uint64
	Genesis         chain.Hash
	GenesisJSON     []byte // execution genesis in geth's format; told to engines
	Log             hclog.Logger
	Observer        Observer // may be nil
	Timings         Timings
	Limits          Limits
	// Tamper, if not nil, may change each answer of a plugin before the host looks at it: how a development chain plays
	// a plugin that lies.
	Tamper func(n Name, method string, reply any)
}

// Timings are the host's clocks; DefaultTimings has the documented values.
type Timings struct {
	Start           time.Duration // from exec to ready, Configure included
	HealthEvery     time.Duration
	HealthTimeout   time.Duration
	HealthFailures  int           // in a row, then the process is killed
	RestartMin      time.Duration // pause before the first restart, doubled for each one after it
	RestartMax      time.Duration
	RestartJitter   float64       // share of the pause, both ways
	RestartReset    time.Duration // alive this long, and the pause starts again at RestartMin
	BreakerDeaths   int           // so many deaths …
	BreakerWindow   time.Duration // … in this time open the breaker
	BreakerHalfOpen time.Duration // an open breaker lets one start through after this
	Drain           time.Duration // for Drain, and for calls in flight to end
	Shutdown        time.Duration // for the process to end when asked to
	Terminate       time.Duration // between SIGTERM and SIGKILL
}

// DefaultTimings are the values of design.md, "Defaults".
func DefaultTimings() Timings {
	return Timings{
		Start:           10 * time.Second,
		HealthEvery:     5 * time.Second,
		HealthTimeout:   2 * time.Second,
		HealthFailures:  3,
		RestartMin:      100 * time.Millisecond,
		RestartMax:      30 * time.Second,
		RestartJitter:   0.2,
		RestartReset:    60 * time.Second,
		BreakerDeaths:   5,
		BreakerWindow:   2 * time.Minute,
		BreakerHalfOpen: 30 * time.Second,
		Drain:           5 * time.Second,
		Shutdown:        2 * time.Second,
		Terminate:       time.Second,
	}
}

// Limits bound what a plugin may take of the host.
type Limits struct {
	Calls          int // unary calls in flight to one generation; more wait for a place until their deadline
	LogLines       int // log lines a second that are forwarded, with a burst of five seconds' worth
	LogLineBytes   int // a longer line is cut
	LastLines      int // lines of stderr kept for error messages
	PanicBytes     int // of a panic's text kept
	HandshakeBytes int // of the first line on stdout
}

// DefaultLimits are the documented limits.
func DefaultLimits() Limits {
	return Limits{
		Calls:          256,
		LogLines:       200,
		LogLineBytes:   16 << 10,
		LastLines:      10,
		PanicBytes:     64 << 10,
		HandshakeBytes: 8 << 10,
	}
}

// orDefaults replaces what is zero.
func (t Timings) orDefaults() Timings {
	d := DefaultTimings()
	return Timings{
		Start:           cmp.Or(t.Start, d.Start),
		HealthEvery:     cmp.Or(t.HealthEvery, d.HealthEvery),
		HealthTimeout:   cmp.Or(t.HealthTimeout, d.HealthTimeout),
		HealthFailures:  cmp.Or(t.HealthFailures, d.HealthFailures),
		RestartMin:      cmp.Or(t.RestartMin, d.RestartMin),
		RestartMax:      cmp.Or(t.RestartMax, d.RestartMax),
		RestartJitter:   cmp.Or(t.RestartJitter, d.RestartJitter),
		RestartReset:    cmp.Or(t.RestartReset, d.RestartReset),
		BreakerDeaths:   cmp.Or(t.BreakerDeaths, d.BreakerDeaths),
		BreakerWindow:   cmp.Or(t.BreakerWindow, d.BreakerWindow),
		BreakerHalfOpen: cmp.Or(t.BreakerHalfOpen, d.BreakerHalfOpen),
		Drain:           cmp.Or(t.Drain, d.Drain),
		Shutdown:        cmp.Or(t.Shutdown, d.Shutdown),
		Terminate:       cmp.Or(t.Terminate, d.Terminate),
	}
}

// orDefaults replaces what is zero.
func (l Limits) orDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		Calls:          cmp.Or(l.Calls, d.Calls),
		LogLines:       cmp.Or(l.LogLines, d.LogLines),
		LogLineBytes:   cmp.Or(l.LogLineBytes, d.LogLineBytes),
		LastLines:      cmp.Or(l.LastLines, d.LastLines),
		PanicBytes:     cmp.Or(l.PanicBytes, d.PanicBytes),
		HandshakeBytes: cmp.Or(l.HandshakeBytes, d.HandshakeBytes),
	}
}
