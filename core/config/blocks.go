package config

import "time"

// Network is the block `network`: peers. The p2p listener has the address.
type Network struct {
	IdentityKey     string        `json:"identity_key"`       // absolute; made when absent; by default p2p.key in the data folder
	Bootnodes       []string      `json:"bootnodes"`          // multiaddresses with a peer id
	StaticPeers     []string      `json:"static_peers"`       // always connected
	AllowPeers      []string      `json:"allow_peers"`        // peer ids; empty: everybody
	External        []string      `json:"external_addresses"` // told to peers
	MDNS            bool          `json:"mdns"`
	QUIC            bool          `json:"quic"`
	TargetPeers     int           `json:"target_peers"`
	MaxPeers        int           `json:"max_peers"`
	MaxMessage      Bytes         `json:"max_message"`
	RequestTimeout  time.Duration `json:"request_timeout"`
	ShareEnginePeer bool          `json:"share_engine_peers"` // exchange the engines' own peer addresses in the handshake
}

// Bitcoin is the block `bitcoin`: our own Bitcoin node.
type Bitcoin struct {
	URL          string        `json:"url"`
	Network      string        `json:"network"` // mainnet, testnet, signet or regtest
	User         string        `json:"user"`
	Password     Secret        `json:"password"`
	CookieFile   string        `json:"cookie_file"` // absolute; instead of user and password
	CA           string        `json:"ca"`          // absolute; PEM
	Timeout      time.Duration `json:"timeout"`
	PollInterval time.Duration `json:"poll_interval"`
}

// Listeners are the blocks `listener "NAME"`, each with its default when it is not written.
type Listeners struct {
	Wallet  Listener // Ethereum JSON-RPC, forwarded to the primary engine
	Miner   Listener // JSON-RPC for merged miners
	Metrics Listener // /metrics, /healthz, /readyz and the console
	P2P     Listener // peers
	Admin   Listener // operator gRPC over TCP; off unless written. The unix socket is always there.
}

// Listener is one address that the node listens on.
type Listener struct {
	Enabled        bool          `json:"enabled"`
	Address        string        `json:"address"` // host:port; port 0 takes a free one
	Token          Secret        `json:"token"`   // bearer token that a caller must show
	MaxConnections int           `json:"max_connections"`
	MaxBody        Bytes         `json:"max_body"`
	Timeout        time.Duration `json:"timeout"`
	Origins        []string      `json:"origins"` // browser origins that may call
	TLS            *TLS          `json:"tls"`
}

// TLS is the block `tls` of a listener.
type TLS struct {
	Cert     string `json:"cert"`      // absolute; PEM
	Key      string `json:"key"`       // absolute; PEM
	ClientCA string `json:"client_ca"` // absolute; PEM; when set, callers must show a certificate
}

// Telemetry is the block `telemetry`.
type Telemetry struct {
	OTLPEndpoint string            `json:"otlp_endpoint"` // empty: no traces leave the node
	OTLPHeaders  map[string]Secret `json:"otlp_headers"`
	OTLPInsecure bool              `json:"otlp_insecure"`
	SampleRatio  float64           `json:"sample_ratio"` // 0 to 1
	ServiceName  string            `json:"service_name"`
	Profiling    bool              `json:"profiling"` // net/http/pprof on the metrics listener
}

// Log is the block `log`.
type Log struct {
	Level    string            `json:"level"`  // trace, debug, info, warn or error
	Format   string            `json:"format"` // text or json
	File     string            `json:"file"`   // absolute; empty: standard error
	MaxSize  Bytes             `json:"max_size"`
	MaxFiles int               `json:"max_files"`
	Levels   map[string]string `json:"levels"` // by component or plugin, e.g. "host", "signer.local"
}

// Backup is the block `backup`.
type Backup struct {
	Dir             string        `json:"dir"`      // absolute; by default `backups` in the data folder
	Interval        time.Duration `json:"interval"` // 0: only when asked
	Keep            int           `json:"keep"`
	Recipients      []string      `json:"recipients"` // age public keys; empty: not encrypted, and then keys are left out
	IncludeKeys     bool          `json:"include_keys"`
	BeforeMigration bool          `json:"before_migration"` // before every step
}

// Migration is a block `migration "NAME"`: a schedule of routes.
type Migration struct {
	Name           string        `json:"-"`
	Role           RoleID        `json:"role"`
	From           PluginID      `json:"from"`
	To             PluginID      `json:"to"`
	OnFailure      string        `json:"on_failure"` // rollback or hold
	HealthInterval time.Duration `json:"health_interval"`
	Steps          []Step        `json:"step"` // empty: the default schedule of the role's kind
	Gates          []Gate        `json:"gate"`
	Range          Range         `json:"-"`
}

// Step is a block `step "NAME"` of a migration.
type Step struct {
	Name       string        `json:"name"`
	Soak       time.Duration `json:"soak"`
	MinSamples int           `json:"min_samples"`
	Approval   bool          `json:"approval"`        // waits for `alys migrate approve`
	NoReturn   bool          `json:"allow_no_return"` // this step may make the way back impossible
	GateNames  []string      `json:"gates"`           // empty: every gate of the migration
	Route
}

// Gate is a block `gate "NAME"` of a migration.
type Gate struct {
	Name    string   `json:"name"`
	Metric  string   `json:"metric"`
	Max     *float64 `json:"max"`
	Min     *float64 `json:"min"`
	Good    *float64 `json:"good"`  // error rate that must pass (sequential test)
	Bad     *float64 `json:"bad"`   // error rate that must fail
	Alpha   float64  `json:"alpha"` // probability of failing a good one
	Beta    float64  `json:"beta"`  // probability of passing a bad one
	Sources []string `json:"sources"`
}

// Flag is a block `flag "NAME"`: a named decision that may appear in a role's expression.
type Flag struct {
	Name        string         `json:"-"`
	Enabled     bool           `json:"enabled"`
	Percent     float64        `json:"percent"` // of nodes, by a stable hash of the node's name and approval key
	Description string         `json:"description"`
	Owner       string         `json:"owner"`
	Risk        string         `json:"risk"` // low, medium, high, critical or empty
	Targets     *FlagTargets   `json:"targets"`
	Conditions  *FlagCondition `json:"conditions"`
	// Value is the flag's answer for this node, without its conditions.
	Value bool  `json:"-"`
	Range Range `json:"-"`
}

// FlagTargets limits a flag to what matches any of its lists.
type FlagTargets struct {
	Nodes        []string          `json:"nodes"`
	ApprovalKeys []string          `json:"approval_keys"`
	Environments []string          `json:"environments"`
	Attributes   map[string]string `json:"attributes"`
}

// FlagCondition must hold in full, at the time of asking. A flag with conditions cannot appear in a role's expression.
type FlagCondition struct {
	After       string   `json:"after"`  // RFC 3339
	Before      string   `json:"before"` // RFC 3339
	HeightAbove *int64   `json:"height_above"`
	HeightBelow *int64   `json:"height_below"`
	SyncAbove   *float64 `json:"sync_above"` // 0 to 1
	SyncBelow   *float64 `json:"sync_below"` // 0 to 1
	StartHour   *int     `json:"start_hour"` // UTC
	EndHour     *int     `json:"end_hour"`   // UTC, exclusive; may wrap midnight
	MinPeers    *int     `json:"min_peers"`
	MaxMemory   Bytes    `json:"max_memory"`
	MaxCPU      *float64 `json:"max_cpu"` // percent
}
