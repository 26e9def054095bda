package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are the node's metrics. All durations are seconds; label values come from configuration and fixed sets only,
// never from remote input, so their number is bounded.
type Metrics struct {
	Registry *prometheus.Registry

	Slot            prometheus.Gauge
	Height          *prometheus.GaugeVec   // level
	BlocksAuthored  *prometheus.CounterVec // outcome
	SlotsMissed     prometheus.Counter
	BlockTime       prometheus.Histogram
	EngineTime      *prometheus.HistogramVec // call
	BlockTxs        prometheus.Counter
	Reorgs          prometheus.Counter
	ConsensusHalted prometheus.Gauge

	ClockSkew  prometheus.Gauge
	ClockPeers prometheus.Gauge

	PluginCalls    *prometheus.CounterVec   // kind, plugin, method, code
	PluginCallTime *prometheus.HistogramVec // kind, plugin, method
	PluginStarts   *prometheus.CounterVec   // kind, plugin
	PluginExits    *prometheus.CounterVec   // kind, plugin
	PluginUp       *prometheus.GaugeVec     // kind, plugin
	PluginRSS      *prometheus.GaugeVec     // kind, plugin
	PluginCPU      *prometheus.GaugeVec     // kind, plugin

	RouteCalls *prometheus.CounterVec // role, position, outcome
	RouteState *prometheus.GaugeVec   // role, state
	Compares   *prometheus.CounterVec // role, outcome
	Swaps      *prometheus.CounterVec // role, outcome
	SwapStep   *prometheus.HistogramVec

	MigrationChanges *prometheus.CounterVec // migration, state
	MigrationGates   *prometheus.CounterVec // migration, gate, answer

	GuardDecisions *prometheus.CounterVec // decision
	GuardTime      prometheus.Histogram

	Peers           prometheus.Gauge
	PeerDials       *prometheus.CounterVec   // outcome
	PeerRefusals    *prometheus.CounterVec   // reason
	PeerDismissals  *prometheus.CounterVec   // reason
	PeerFaults      prometheus.Counter       //
	PeerServed      *prometheus.CounterVec   // request, outcome
	PeerRequests    *prometheus.CounterVec   // request, outcome
	PeerRequestTime *prometheus.HistogramVec // request
	PeerBytes       *prometheus.CounterVec   // direction
	Messages        *prometheus.CounterVec   // kind, verdict
	MessagesSent    *prometheus.CounterVec   // kind, outcome
	MessagesDropped *prometheus.CounterVec   // reason

	WalletRequests *prometheus.CounterVec // code
	PendingTxs     prometheus.Gauge

	ServiceRestarts *prometheus.CounterVec // service
	ServicePanics   *prometheus.CounterVec // service
}

// latency buckets from 50 µs (a local call) to 10 s.
var latencyBuckets = []float64{
	.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

// New makes the metrics and registers them in a registry of their own.
func New(version, chainName string) *Metrics {
	f := factory{prometheus.NewRegistry()}
	m := &Metrics{
		Registry: f.registry,

		Slot:            f.gauge("slot", "Slot of the wall clock."),
		Height:          f.gauges("block_height", "Height of a block by level: head, safe or finalized.", "level"),
		BlocksAuthored:  f.counters("blocks_authored_total", "Own slots by outcome: notarized, failed.", "outcome"),
		SlotsMissed:     f.counter("slots_missed_total", "Own slots in which no block of ours was notarized."),
		BlockTime:       f.histogram("block_production_duration_seconds", "From slot start to our block notarized and imported."),
		EngineTime:      f.histograms("engine_duration_seconds", "Duration of an engine order by call: build, import, forkchoice.", "call"),
		BlockTxs:        f.counter("block_transactions_total", "Transactions in imported blocks."),
		Reorgs:          f.counter("chain_reorgs_total", "Times the head moved to another branch."),
		ConsensusHalted: f.gauge("consensus_halted", "1 when consensus stopped signing because safe blocks conflict."),
		ClockSkew:       f.gauge("clock_skew_seconds", "Median of the configured peers' clocks minus ours; 0 while fewer than two have told. Nothing is approved above 1 s."),
		ClockPeers:      f.gauge("clock_peers", "Configured peers that have told their clock within a minute; two are needed."),

		PluginCalls:    f.counters("plugin_calls_total", "Calls to plugins by gRPC code.", "kind", "plugin", "method", "code"),
		PluginCallTime: f.histograms("plugin_call_duration_seconds", "Latency of calls to plugins.", "kind", "plugin", "method"),
		PluginStarts:   f.counters("plugin_starts_total", "Plugin processes started.", "kind", "plugin"),
		PluginExits:    f.counters("plugin_exits_total", "Plugin processes that ended without being asked.", "kind", "plugin"),
		PluginUp:       f.gauges("plugin_up", "1 while a generation of the plugin serves.", "kind", "plugin"),
		PluginRSS:      f.gauges("plugin_memory_bytes", "Resident memory of the plugin's process.", "kind", "plugin"),
		PluginCPU:      f.gauges("plugin_cpu_seconds", "CPU time of the plugin's process since its start.", "kind", "plugin"),

		RouteCalls: f.counters("route_calls_total", "Calls through a role's route by position and outcome: answer, refusal, failure.", "role", "position", "outcome"),
		RouteState: f.gauges("route_state", "1 for each state that the role's route is in.", "role", "state"),
		Compares:   f.counters("route_comparisons_total", "Shadow and canary comparisons by outcome: match, mismatch, not_sampled.", "role", "outcome"),
		Swaps:      f.counters("swaps_total", "Swaps by outcome: done, failed, flipped_back, rolled_back.", "role", "outcome"),
		SwapStep:   f.histograms("swap_step_duration_seconds", "Duration of a swap's steps.", "step"),

		MigrationChanges: f.counters("migration_changes_total", "States that runs of a migration came to.", "migration", "state"),
		MigrationGates:   f.counters("migration_gates_total", "Answers of a migration's gates: pass, fail, not_enough_data.", "migration", "gate", "answer"),
		GuardDecisions:   f.counters("guard_decisions_total", "Guard decisions: approved, repeated, refused, failed.", "decision"),
		GuardTime:        f.histogram("guard_reserve_duration_seconds", "Time to decide and persist a reservation."),

		Peers:           f.gauge("peers", "Peers that are connected and on our chain."),
		PeerDials:       f.counters("peer_dials_total", "Attempts to reach a peer by outcome: connected, failed.", "outcome"),
		PeerRefusals:    f.counters("peer_refusals_total", "Handshakes that ended in a refusal by reason: other_chain, other_version, other_schedule, peer_outdated, we_outdated, not_allowed, full, malformed, by_peer.", "reason"),
		PeerDismissals:  f.counters("peer_dismissals_total", "Peers that we disconnected by reason: banned, score, silent, other_schedule.", "reason"),
		PeerFaults:      f.counter("peer_faults_total", "Proven faults of peers."),
		PeerServed:      f.counters("peer_requests_served_total", "Requests of peers by outcome: answered, busy, not_found, malformed, failed.", "request", "outcome"),
		PeerRequests:    f.counters("peer_requests_total", "Our requests to peers by outcome: answered, timeout, misbehaved, busy, not_found, peer_failed, cancelled, disconnected.", "request", "outcome"),
		PeerRequestTime: f.histograms("peer_request_duration_seconds", "Duration of our requests to peers.", "request"),
		PeerBytes:       f.counters("peer_request_bytes_total", "Bytes of answers, served and received.", "direction"),
		Messages:        f.counters("messages_received_total", "Messages of consensus by kind and what became of them: accepted, ignored, rejected, other_slot, malformed.", "kind", "verdict"),
		MessagesSent:    f.counters("messages_sent_total", "Messages of ours by kind and outcome: queued, dropped, failed.", "kind", "outcome"),
		MessagesDropped: f.counters("messages_dropped_total", "Messages of gossip that were not looked at by reason: not_admitted, over_quota.", "reason"),

		WalletRequests: f.counters("wallet_requests_total", "Wallet JSON-RPC requests by HTTP status code.", "code"),
		PendingTxs:     f.gauge("pending_transactions", "Wallet transactions kept until their block is safe."),

		ServiceRestarts: f.counters("service_restarts_total", "Times a service of the node ended and was started again.", "service"),
		ServicePanics:   f.counters("service_panics_total", "Panics in a service, most of them in one request; the node runs on.", "service"),
	}
	info := f.gauges("build_info", "Always 1; labels say what runs.", "version", "chain")
	info.WithLabelValues(version, chainName).Set(1)
	f.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Since observes the time from start to now.
func Since(o prometheus.Observer, start time.Time) { o.Observe(time.Since(start).Seconds()) }

type factory struct{ registry *prometheus.Registry }

const namespace = "alys"

func (f factory) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	f.registry.MustRegister(g)
	return g
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.registry.MustRegister(g)
	return g
}

func (f factory) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	f.registry.MustRegister(c)
	return c
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	f.registry.MustRegister(c)
	return c
}

func (f factory) histogram(name, help string) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: latencyBuckets})
	f.registry.MustRegister(h)
	return h
}

func (f factory) histograms(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: latencyBuckets}, labels)
	f.registry.MustRegister(h)
	return h
}
