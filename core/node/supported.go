package node

import (
	"fmt"
	"time"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/swap"
)

// supported refuses, in words, what the language has and this version does not act on: a block that does nothing would
// be a promise that nobody keeps.
func supported(c *config.Config) error {
	unsupported := func(what, instead string) error {
		return fmt.Errorf("%s: %s: %w: %s", c.Path, what, ErrUnsupported, instead)
	}
	switch {
	case c.Bitcoin != nil:
		return unsupported("block bitcoin", "this version has no peg; remove the block")
	case c.Listeners.Admin.Enabled:
		return unsupported(`block listener "admin"`, "operators use the unix socket in the data folder")
	case c.Telemetry.OTLPEndpoint != "":
		return unsupported("telemetry.otlp_endpoint", "traces are not exported; metrics are on the metrics listener")
	case c.Backup.Interval > 0:
		return unsupported("backup.interval", "stop the node and copy its data folder")
	case len(c.Backup.Recipients) > 0:
		return unsupported("backup.recipients", "a backup before a migration's step holds no keys; it is not encrypted")
	case c.Backup.IncludeKeys:
		return unsupported("backup.include_keys", "keep keystores and recovery phrases apart: `alys keys export`")
	}
	for _, p := range c.Plugins {
		if len(p.Args) > 0 {
			return unsupported(fmt.Sprintf("args of plugin.%s", p.ID), "a plugin takes its settings from its config block")
		}
		if p.Limits != c.Swap.Limits || p.Restart != c.Restart || p.LogLevel != "" {
			return unsupported(fmt.Sprintf("timeouts, limits, restart or log_level of plugin.%s alone", p.ID),
				"set them for every plugin in the blocks swap, restart and log")
		}
	}
	return nil
}

// probation is the watch after a swap, as the swap block says.
func probation(s config.Swap) *swap.Probation {
	p := swap.DefaultProbation()
	p.Time, p.Calls = s.Probation, uint64(s.ProbationCalls)
	if s.Probation == 0 {
		p.Calls = 0
	}
	p.Failures, p.Window, p.LatencyRatio = uint64(s.FlipBackFailures), uint64(s.FlipBackCalls), s.FlipBackLatency
	return &p
}

func timeouts(s config.Swap) swap.Timeouts {
	return swap.Timeouts{
		Start: s.StartTimeout + time.Second, Admit: s.AdmissionTimeout, Drain: s.DrainTimeout, Close: s.HandoverTimeout,
	}
}
