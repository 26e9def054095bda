package config

import (
	"strconv"

	"github.com/alys-node/alys/sdk/schema"
)

// Types of arguments that only alys's own blocks have.
const (
	typePlugin  schema.Type = "plugin"                 // plugin.KIND.NAME
	typeStrings schema.Type = "string or list(string)" // handed over as a list
)

// field is an argument with the rule that its value must keep.
type field struct {
	schema.Attribute
	check check // nil: any value of the type
}

// block is a block of the language: what sdk/schema can say, and labels and rules besides.
type block struct {
	name     string
	labels   []string // names of the labels, for messages
	repeated bool
	required bool
	doc      string
	fields   []field
	blocks   []block
}

func arg(name string, t schema.Type, def, doc string, checks ...check) field {
	return field{Attribute: schema.Attribute{Name: name, Type: t, Default: def, Doc: doc}, check: all(checks)}
}

func (f field) required() field {
	f.Required = true
	return f
}

func (f field) sensitive() field {
	f.Sensitive = true
	return f
}

// blocks is the whole language and every default of it. Blocks that a node may have several of differ by label;
// variable and locals are no values and live in scope.go.
func blocks() []block {
	return []block{
		nodeBlock(), validatorBlock(), chainBlock(), pluginBlock(), roleBlock(), networkBlock(), bitcoinBlock(),
		listenerBlock("wallet"), telemetryBlock(), logBlock(), swapBlock(), restartBlock(), migrationBlock(), flagBlock(),
		backupBlock(),
	}
}

func nodeBlock() block {
	return block{name: "node", required: true, doc: "This process.", fields: []field{
		arg("name", schema.String, `""`, "Name of the node in logs, metrics and flags.", nonEmpty, matches(namePattern, nameRule)).required(),
		arg("data_dir", schema.Path, "", "Folder of everything that the node keeps.", nonEmpty).required(),
		arg("plugin_dir", schema.Path, "", "Folder that plugin commands are looked up in; by default `plugins` beside the executable."),
		arg("admin_socket", schema.Path, "", "Unix socket of the operator's interface; by default alys.sock in the data folder.", shortPath),
		arg("environment", schema.String, `""`, "Free text that flags may target, such as \"staging\"."),
		arg("watch", schema.Bool, "false", "Apply a saved file by itself."),
		arg("stop_timeout", schema.Duration, `"10s"`, "Time that each stage of an orderly stop may take.", positive),
	}}
}

func validatorBlock() block {
	return block{name: "validator", doc: "How this node signs. Without the block it signs with each authority key that its signer holds; one without a signer is a full node.", fields: []field{
		arg("enabled", schema.Bool, "true", "False: a full node, whatever the signer holds."),
		arg("approval_key", schema.String, `""`, "BLS public key to approve with; by default each authority key that the signer holds.", orEmpty(blsKey)),
		arg("bitcoin_key", schema.String, `""`, "Public key to sign Bitcoin payments with; by default each federation key that the signer holds.", orEmpty(bitcoinKey)),
		arg("fee_address", schema.String, `""`, "Account that gets this member's share of the fees; by default the spec's.", orEmpty(address)),
		arg("extra_data", schema.String, `""`, "Text in our own blocks, at most 32 bytes.", maxBytes(32)),
		arg("doppelganger_wait", schema.Duration, strconv.Quote(DefaultDoppelgangerWait.String()),
			"Time to listen to peers for approvals by our own keys before signing: two slots at least; 0s does not wait."),
		arg("max_bitcoin_fee_rate", schema.Number, "0", "Highest Bitcoin fee rate that we propose, in sat/vB; 0 is the spec's limit.", integer(0, 1e6)),
	}}
}

func chainBlock() block {
	return block{name: "chain", required: true, doc: "Which chain this is.", fields: []field{
		arg("spec", schema.String, "", "A built-in chain, or the path of a chain spec.", nonEmpty).required(),
		arg("max_drift", schema.Duration, `"500ms"`, "How far ahead of its slot a block is held, not dropped."),
	}}
}

func pluginBlock() block {
	return block{
		name: "plugin", labels: []string{"kind", "name"}, repeated: true, doc: "A plugin: a process that can play a role.",
		fields: append([]field{
			arg("command", schema.String, "", "File name in the plugin folder, or an absolute path.", nonEmpty, command).required(),
			arg("checksum", typeStrings, "", "SHA-256 of the executable, or a list of them; `alys plugin pin` writes it.", checksum),
			arg("args", schema.StringList, "[]", "Further arguments of the command."),
			arg("env", schema.StringMap, "{}", "The only environment variables that the process gets.", envNames).sensitive(),
			arg("log_level", schema.String, `""`, "Log level of this plugin; by default the node's.", orEmpty(oneOf(logLevels()...))),
		}, withoutDefaults(limitFields())...),
		blocks: []block{
			optional(restartBlock()),
			{name: "config", doc: "The plugin's own arguments, as its schema says."},
		},
	}
}

func limitFields() []field {
	return []field{
		arg("start_timeout", schema.Duration, `"10s"`, "Time that a new process may take until it is healthy.", positive),
		arg("health_interval", schema.Duration, `"5s"`, "How often a plugin is asked for its health.", positive),
		arg("health_timeout", schema.Duration, `"2s"`, "Time that an answer about health may take.", positive),
		arg("health_failures", schema.Number, "3", "Failures in a row after which a plugin is restarted.", integer(1, 1000)),
		arg("drain_timeout", schema.Duration, `"5s"`, "Time that calls in flight may take to finish."),
		arg("max_message", schema.Size, `"64MiB"`, "Largest message to or from a plugin.", sizeBetween(1<<20, 1<<30)),
		arg("max_in_flight", schema.Number, "256", "Calls at the same time.", integer(1, 65536)),
	}
}

func swapBlock() block {
	return block{
		name: "swap", doc: "How one generation of a plugin replaces another; the limits hold for every plugin that does not set its own.",
		fields: append(limitFields(),
			arg("admission_timeout", schema.Duration, `"60s"`, "Time that admission may take.", positive),
			arg("admission_samples", schema.Number, "30", "Verified shadow signatures that admit a key which takes no challenge.", integer(1, 1e6)),
			arg("handover_timeout", schema.Duration, `"10s"`, "Time that a handover of an exclusive resource may take.", positive),
			arg("probation", schema.Duration, `"60s"`, "Time that the old generation stays warm; \"0s\" retires it at once."),
			arg("probation_calls", schema.Number, "30", "Calls that the new generation must have answered before probation ends.", integer(0, 1e6)),
			arg("flip_back_failures", schema.Number, "2", "Failures in probation that flip back.", integer(1, 1e6)),
			arg("flip_back_calls", schema.Number, "300", "Calls over which the failures are counted.", integer(1, 1e6)),
			arg("flip_back_latency", schema.Number, "2", "Flip back when the new p99 is above this many times the old.", between(1, 1000)),
			arg("shadow_queue", schema.Number, "1024", "Requests that may wait for a shadow.", integer(1, 1<<20)),
			arg("shadow_bytes", schema.Size, `"64MiB"`, "Memory that waiting shadow requests may take.", sizeBetween(1<<10, 1<<34)),
			arg("primary_share", schema.Number, "0.4", "Share of the slot that the primary may take.", between(0.01, 0.9)),
			arg("fallback_share", schema.Number, "0.3", "Share of the slot that the fallback may take.", between(0.01, 0.9)),
		),
	}
}

func restartBlock() block {
	return block{name: "restart", doc: "What happens when a plugin dies.", fields: []field{
		arg("initial", schema.Duration, `"100ms"`, "Wait before the first restart.", positive),
		arg("factor", schema.Number, "2", "Each further wait is this many times the last.", between(1, 100)),
		arg("max", schema.Duration, `"30s"`, "Longest wait.", positive),
		arg("jitter", schema.Number, "0.2", "Each wait varies by this share, up and down.", between(0, 1)),
		arg("reset_after", schema.Duration, `"60s"`, "Time up after which the waits start again at the first.", positive),
		arg("breaker_failures", schema.Number, "5", "Deaths within the window that open the breaker.", integer(1, 1000)),
		arg("breaker_window", schema.Duration, `"2m"`, "The window.", positive),
		arg("breaker_half_open", schema.Duration, `"30s"`, "Wait until an open breaker lets one try through.", positive),
	}}
}

func canaryBlock() block {
	return block{name: "canary", doc: "Answers a share of the slots.", fields: []field{
		arg("plugin", typePlugin, "", "Who answers them.").required(),
		arg("percent", schema.Number, "", "The share, 1 to 99.", integer(1, 99)).required(),
	}}
}

func routeFields(primary field) []field {
	return []field{
		primary,
		arg("fallback", typePlugin, "", "Who answers when the primary gives no answer."),
		arg("shadow", typePlugin, "", "Who is asked too, and compared, and never used."),
	}
}

func roleBlock() block {
	return block{
		name: "role", labels: []string{"kind"}, repeated: true, doc: "What the node needs of a kind, and who provides it.",
		fields: routeFields(arg("primary", typePlugin, "", "Who answers.").required()), blocks: []block{canaryBlock()},
	}
}

// Fields that are left out of a plugin block fall back to the swap block's, not to a default of their own.
func withoutDefaults(fields []field) []field {
	for i := range fields {
		fields[i].Default = ""
	}
	return fields
}

func optional(b block) block {
	b.fields = withoutDefaults(b.fields)
	return b
}
