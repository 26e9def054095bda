package migrate

import (
	"fmt"
	"strings"
	"time"
)

// The kinds of a role.
const (
	KindSigner = "signer"
	KindEngine = "engine"
	KindSync   = "sync"
)

// What a run does when a gate fails or a trigger fires.
const (
	OnFailureRollback = "rollback" // back to the route at the start, by itself
	OnFailureHold     = "hold"     // keeps the route and waits for a human
)

// MaxHealthInterval is how far apart two looks at the gates may be.
const MaxHealthInterval = 30 * time.Second

// Schedule is one `migration "NAME"` of alys.hcl.
type Schedule struct {
	Name           string        `json:"name"`
	Role           string        `json:"role"` // as the node names it in its ports
	Kind           string        `json:"kind"` // of the role: signer, engine or sync
	From           string        `json:"from"` // label of the plugin that serves at the start
	To             string        `json:"to"`   // label of the plugin that serves in the end
	OnFailure      string        `json:"on_failure"`
	HealthInterval time.Duration `json:"health_interval"` // 0: MaxHealthInterval
	Steps          []Step        `json:"steps"`           // empty: the kind's defaults
	Gates          []Gate        `json:"gates"`           // empty: the kind's defaults
	Hash           string        `json:"hash"`            // of the block in alys.hcl, for the log
}

// Step is one route and what it takes to leave it.
type Step struct {
	Name       string        `json:"name"`
	Route      Route         `json:"route"`
	Soak       time.Duration `json:"soak"`        // shortest time in the step
	MinSamples uint64        `json:"min_samples"` // fewest counted answers of the new plugin
	Approval   bool          `json:"approval"`    // a human's word is needed to enter the step
	NoReturn   bool          `json:"no_return"`   // the step may make the way back impossible
	Gates      []string      `json:"gates"`       // names; empty: every gate of the schedule that can be measured here
}

// Route names the plugins of a role by their labels; "" is an empty place.
type Route struct {
	Primary  string  `json:"primary"`
	Fallback string  `json:"fallback,omitempty"`
	Shadow   string  `json:"shadow,omitempty"`
	Canary   string  `json:"canary,omitempty"`
	Percent  float64 `json:"percent,omitempty"` // of the slots that the canary answers
}

// String is one line for people: `v4, canary v5 at 10 %`.
func (r Route) String() string {
	parts := []string{r.Primary}
	if r.Primary == "" {
		parts[0] = "nobody"
	}
	if r.Fallback != "" {
		parts = append(parts, "fallback "+r.Fallback)
	}
	if r.Shadow != "" {
		parts = append(parts, "shadow "+r.Shadow)
	}
	if r.Canary != "" {
		parts = append(parts, fmt.Sprintf("canary %s at %g %%", r.Canary, r.Percent))
	}
	return strings.Join(parts, ", ")
}

// Metrics that a gate may name.
const (
	MetricCorrectness   = "correctness"   // disagreements; zero tolerance, no bounds
	MetricErrorRate     = "error_rate"    // share of the new plugin's answers that are none; good, bad, alpha, beta
	MetricLatencyRatio  = "latency_ratio" // time of the new plugin over the old one's on the same request; max
	MetricLatencyP99    = "latency_p99"   // milliseconds; max
	MetricMissedSlots   = "missed_slots"  // of this node in this step; max
	MetricParticipation = "participation" // share of the slots in which this node's approval was counted; min
	MetricRollbacks     = "rollbacks"     // of this run: flip backs and falls back; max
)

// Source says how a sample came about.
type Source string

// The sources.
const (
	SourceLive   Source = "live"   // it answered
	SourceShadow Source = "shadow" // it was asked too, and compared
	SourceReplay Source = "replay" // a stored block was put to it
)

// Gate is a condition on leaving a step.
type Gate struct {
	Name    string   `json:"name"`
	Metric  string   `json:"metric"`
	Max     *float64 `json:"max,omitempty"`
	Min     *float64 `json:"min,omitempty"`
	Good    *float64 `json:"good,omitempty"`  // error rate that should pass
	Bad     *float64 `json:"bad,omitempty"`   // error rate that should fail
	Alpha   float64  `json:"alpha,omitempty"` // probability of failing a good one; 0: 0.05
	Beta    float64  `json:"beta,omitempty"`  // probability of passing a bad one; 0: 0.05
	Sources []Source `json:"sources,omitempty"`
}
