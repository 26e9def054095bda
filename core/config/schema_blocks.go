package config

import "github.com/alys-node/alys/sdk/schema"

func logLevels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

func networks() []string { return []string{"mainnet", "testnet", "signet", "regtest"} }

func networkBlock() block {
	return block{name: "network", doc: "Peers. The p2p listener has the address.", fields: []field{
		arg("identity_key", schema.Path, "", "File of the peer identity, made when absent; by default p2p.key in the data folder."),
		arg("bootnodes", schema.StringList, "[]", "Multiaddresses with a peer id, to find the first peers by.", each(peerAddr)),
		arg("static_peers", schema.StringList, "[]", "Multiaddresses with a peer id that are always kept connected. An authority compares its clock with theirs: name the other authorities.", each(peerAddr)),
		arg("allow_peers", schema.StringList, "[]", "Peer ids that may connect; empty allows everybody.", each(nonEmpty)),
		arg("external_addresses", schema.StringList, "[]", "Multiaddresses that peers are told to reach us by.", each(multiaddr)),
		arg("mdns", schema.Bool, "false", "Find peers on the local network."),
		arg("quic", schema.Bool, "true", "Listen on QUIC beside TCP."),
		arg("target_peers", schema.Number, "16", "Peers to look for.", integer(1, 1000)),
		arg("max_peers", schema.Number, "64", "Peers to accept.", integer(1, 10000)),
		arg("max_message", schema.Size, `"10MiB"`, "Largest message of a peer.", sizeBetween(1<<20, 1<<28)),
		arg("request_timeout", schema.Duration, `"10s"`, "Time that a peer's answer may take.", positive),
		arg("share_engine_peers", schema.Bool, "true", "Tell peers how to reach our engine, so that transactions spread."),
	}}
}

func bitcoinBlock() block {
	return block{name: "bitcoin", doc: "Our own Bitcoin node.", fields: []field{
		arg("url", schema.String, "", "JSON-RPC address, http or https.", httpURL).required(),
		arg("network", schema.String, `"regtest"`, "The Bitcoin network.", oneOf(networks()...)),
		arg("user", schema.String, `""`, "RPC user."),
		arg("password", schema.String, `""`, "RPC password.").sensitive(),
		arg("cookie_file", schema.Path, "", "Cookie file, instead of user and password."),
		arg("ca", schema.Path, "", "PEM file that vouches for an https address."),
		arg("timeout", schema.Duration, `"10s"`, "Time that a call may take.", positive),
		arg("poll_interval", schema.Duration, `"1s"`, "How often a new block is looked for.", positive),
	}}
}

// listenerAddress is the default address of each listener; the admin listener is off unless it is written.
func listenerAddress(name string) string {
	switch name {
	case "wallet":
		return "127.0.0.1:8545"
	case "miner":
		return "127.0.0.1:3000"
	case "metrics":
		return "127.0.0.1:9001"
	case "p2p":
		return "127.0.0.1:30300"
	case "admin":
		return "127.0.0.1:9002"
	}
	return ""
}

func listenerNames() []string { return []string{"wallet", "miner", "metrics", "p2p", "admin"} }

func listenerBlock(name string) block {
	return block{
		name: "listener", labels: []string{"name"}, repeated: true,
		doc: "An address that the node listens on: wallet (Ethereum JSON-RPC, 127.0.0.1:8545), miner (127.0.0.1:3000), metrics with console and health (127.0.0.1:9001), p2p (127.0.0.1:30300) and admin (127.0.0.1:9002, off unless written).",
		fields: []field{
			arg("enabled", schema.Bool, "true", "False closes the listener."),
			arg("address", schema.String, `"`+listenerAddress(name)+`"`, "host:port; port 0 takes a free one.", hostPort),
			arg("token", schema.String, `""`, "Bearer token that a caller must show.").sensitive(),
			arg("max_connections", schema.Number, "1024", "Connections at the same time.", integer(1, 1<<20)),
			arg("max_body", schema.Size, `"5MiB"`, "Largest request.", sizeBetween(1<<10, 1<<30)),
			arg("timeout", schema.Duration, `"30s"`, "Time that a request may take.", positive),
			arg("origins", schema.StringList, "[]", "Browser origins that may call."),
		},
		blocks: []block{{name: "tls", doc: "Serve TLS.", fields: []field{
			arg("cert", schema.Path, "", "PEM file of the certificate chain.").required(),
			arg("key", schema.Path, "", "PEM file of the private key.").required(),
			arg("client_ca", schema.Path, "", "PEM file that vouches for callers; they must then show a certificate."),
		}}},
	}
}

func telemetryBlock() block {
	return block{name: "telemetry", doc: "Traces and profiles. Metrics are always served by the metrics listener.", fields: []field{
		arg("otlp_endpoint", schema.String, `""`, "host:port of an OpenTelemetry collector; empty sends nothing.", orEmpty(hostPort)),
		arg("otlp_headers", schema.StringMap, "{}", "Headers for the collector.").sensitive(),
		arg("otlp_insecure", schema.Bool, "false", "Speak to the collector without TLS."),
		arg("sample_ratio", schema.Number, "0.01", "Share of traces that are kept, 0 to 1.", between(0, 1)),
		arg("service_name", schema.String, `"alys"`, "Service name in traces.", nonEmpty),
		arg("profiling", schema.Bool, "false", "Serve net/http/pprof on the metrics listener."),
	}}
}

func logBlock() block {
	return block{name: "log", doc: "Logs.", fields: []field{
		arg("level", schema.String, `"info"`, "Lowest level that is written.", oneOf(logLevels()...)),
		arg("format", schema.String, `"text"`, "text or json.", oneOf("text", "json")),
		arg("file", schema.Path, "", "File to write to; by default standard error."),
		arg("max_size", schema.Size, `"100MiB"`, "Size at which the file is rotated.", sizeBetween(1<<20, 1<<40)),
		arg("max_files", schema.Number, "10", "Rotated files to keep.", integer(0, 10000)),
		arg("levels", schema.StringMap, "{}", "Levels by component or plugin, such as { host = \"debug\" }.", each(oneOf(logLevels()...))),
	}}
}

func backupBlock() block {
	return block{name: "backup", doc: "Backups.", fields: []field{
		arg("dir", schema.Path, "", "Folder; by default `backups` in the data folder."),
		arg("interval", schema.Duration, `"0s"`, "How often a backup is made; \"0s\" only when asked."),
		arg("keep", schema.Number, "7", "Backups to keep.", integer(1, 10000)),
		arg("recipients", schema.StringList, "[]", "age public keys that backups are sealed to.", each(prefix("age1"))),
		arg("include_keys", schema.Bool, "false", "Put keystores in too; needs recipients."),
		arg("before_migration", schema.Bool, "true", "Make and verify one before each migration step."),
	}}
}

func migrationBlock() block {
	return block{
		name: "migration", labels: []string{"name"}, repeated: true, doc: "A schedule of routes with gates between them.",
		fields: []field{
			arg("role", schema.String, "", "The role: signer, signer.approval, signer.bitcoin, engine or sync.", roleName).required(),
			arg("from", typePlugin, "", "The plugin that serves now.").required(),
			arg("to", typePlugin, "", "The plugin that serves in the end.").required(),
			arg("on_failure", schema.String, `"rollback"`, "rollback, or hold for a human.", oneOf("rollback", "hold")),
			arg("health_interval", schema.Duration, `"30s"`, "How often the gates are looked at, at least.", positive, atMost30s),
		},
		blocks: []block{stepBlock(), gateBlock()},
	}
}

func stepBlock() block {
	return block{
		name: "step", labels: []string{"name"}, repeated: true, doc: "One route; without any step the default schedule of the role's kind.",
		fields: append(routeFields(arg("primary", typePlugin, "", "Who answers.").required()),
			arg("soak", schema.Duration, `"0s"`, "Shortest time in this step."),
			arg("min_samples", schema.Number, "0", "Fewest samples before the gates may pass.", integer(0, 1e9)),
			arg("approval", schema.Bool, "false", "Wait for `alys migrate approve`."),
			arg("allow_no_return", schema.Bool, "false", "This step may make the way back impossible."),
			arg("gates", schema.StringList, "[]", "Names of the gates that hold here; by default all."),
		),
		blocks: []block{canaryBlock()},
	}
}

func gateBlock() block {
	return block{name: "gate", labels: []string{"name"}, repeated: true, doc: "A condition on leaving a step.", fields: []field{
		arg("metric", schema.String, "", "What is measured.", oneOf(gateMetrics()...)).required(),
		arg("max", schema.Number, "", "Highest value that passes."),
		arg("min", schema.Number, "", "Lowest value that passes."),
		arg("good", schema.Number, "", "Error rate that should pass (sequential test).", between(0, 1)),
		arg("bad", schema.Number, "", "Error rate that should fail (sequential test).", between(0, 1)),
		arg("alpha", schema.Number, "0.05", "Probability of failing a good one.", between(1e-6, 0.5)),
		arg("beta", schema.Number, "0.05", "Probability of passing a bad one.", between(1e-6, 0.5)),
		arg("sources", schema.StringList, `["shadow", "live"]`, "Where samples may come from: shadow, replay, live.", each(oneOf("shadow", "replay", "live"))),
	}}
}

func gateMetrics() []string {
	return []string{"correctness", "error_rate", "latency_ratio", "latency_p99", "missed_slots", "participation", "rollbacks"}
}

func flagBlock() block {
	return block{
		name: "flag", labels: []string{"name"}, repeated: true, doc: "A named decision that may appear in a role's expression.",
		fields: []field{
			arg("enabled", schema.Bool, "", "False answers no, whatever else is written.").required(),
			arg("percent", schema.Number, "100", "Share of the nodes, by a stable hash of name and approval key.", between(0, 100)),
			arg("description", schema.String, `""`, "What it decides."),
			arg("owner", schema.String, `""`, "Who answers for it."),
			arg("risk", schema.String, `""`, "low, medium, high or critical.", orEmpty(oneOf("low", "medium", "high", "critical"))),
		},
		blocks: []block{
			{name: "targets", doc: "Limits the flag to what matches any of the lists.", fields: []field{
				arg("nodes", schema.StringList, "[]", "Node names."),
				arg("approval_keys", schema.StringList, "[]", "Approval keys.", each(blsKey)),
				arg("environments", schema.StringList, "[]", "Values of node.environment."),
				arg("attributes", schema.StringMap, "{}", "Further facts that the asker may state."),
			}},
			{name: "conditions", doc: "Must all hold at the time of asking.", fields: []field{
				arg("after", schema.String, `""`, "RFC 3339 time.", orEmpty(rfc3339)),
				arg("before", schema.String, `""`, "RFC 3339 time.", orEmpty(rfc3339)),
				arg("height_above", schema.Number, "", "Chain height, exclusive.", integer(0, 1e15)),
				arg("height_below", schema.Number, "", "Chain height, exclusive.", integer(0, 1e15)),
				arg("sync_above", schema.Number, "", "Sync progress, 0 to 1, exclusive.", between(0, 1)),
				arg("sync_below", schema.Number, "", "Sync progress, 0 to 1, exclusive.", between(0, 1)),
				arg("start_hour", schema.Number, "", "First hour of the day, UTC.", integer(0, 23)),
				arg("end_hour", schema.Number, "", "Hour at which it ends, UTC; may wrap midnight.", integer(0, 24)),
				arg("min_peers", schema.Number, "", "Fewest connected peers.", integer(0, 10000)),
				arg("max_memory", schema.Size, `"0B"`, "Most memory of the node; 0B is no bound."),
				arg("max_cpu", schema.Number, "", "Most CPU of the node, in percent.", between(0, 100)),
			}},
		},
	}
}
