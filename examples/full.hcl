# Every block and every argument of alys.hcl. What is written here is the default unless a comment says otherwise;
# alys.hcl at the root of the repository is what a small node needs.
#
# One argument per line in a block of several. Durations are strings ("60s"), sizes too ("64MiB"). Paths are relative to
# the folder of this file. Expressions may use var.NAME, local.NAME and functions such as file(), env() and format();
# routes may also use plugin.KIND.NAME, and roles flag.NAME.

variable "data_dir" {
  description = "Folder of everything that the node keeps. Given by -var, -var-file or ALYS_VAR_data_dir."
  type        = string
  default     = "./data"
  validation {
    condition     = length(split("/", var.data_dir)) < 32
    error_message = "The data folder is nested too deeply."
  }
}

variable "bitcoin_password" {
  type      = string
  default   = null
  sensitive = true # never shown, and neither is anything that is derived from it
}

locals {
  loopback = "127.0.0.1"
}

node {
  name         = "fed-0"                     # no default
  data_dir     = var.data_dir                # no default
  plugin_dir   = "../bin/plugins"            # by default `plugins` beside the executable
  admin_socket = "${var.data_dir}/alys.sock" # by default alys.sock in the data folder
  environment  = "staging"                   # by default empty
  watch        = false                       # apply a saved file by itself
  stop_timeout = "10s"
}

# How the node signs: without this block, with each authority key that its signer holds. Keys that are left out are each one that the signer holds.
validator {
  enabled              = true
  approval_key         = "0x97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
  bitcoin_key          = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
  fee_address          = "0x2222222222222222222222222222222222222222"
  extra_data           = "alys" # at most 32 bytes; by default empty
  doppelganger_wait    = "8s"
  max_bitcoin_fee_rate = 0 # sat/vB; 0 is the spec's limit
}

chain {
  spec      = "dev" # a built-in chain, or the path of a chain spec; no default
  max_drift = "500ms"
}

plugin "signer" "local" {
  command  = "alys-signer-local"                                                       # looked up in plugin_dir, or an absolute path; no default
  checksum = "sha256:0000000000000000000000000000000000000000000000000000000000000000" # `alys plugin pin` writes it
  args     = []
  env = {
    LANG = "C" # the process gets these variables and no others
  }
  log_level       = "info" # by default the node's
  start_timeout   = "10s"  # this and the next six: by default as in the swap block
  health_interval = "5s"
  health_timeout  = "2s"
  health_failures = 3
  drain_timeout   = "5s"
  max_message     = "64MiB"
  max_in_flight   = 256

  restart { # by default as in the restart block
    initial           = "100ms"
    factor            = 2
    max               = "30s"
    jitter            = 0.2
    reset_after       = "60s"
    breaker_failures  = 5
    breaker_window    = "2m"
    breaker_half_open = "30s"
  }

  config { # the plugin's own arguments: `alys plugin inspect signer.local` lists them
    keystore     = "./keys"
    password     = env("ALYS_KEYSTORE_PASSWORD", "")
    unlock       = "config" # or prompt
    allow_export = true
    bench        = false
  }
}

plugin "signer" "governance" {
  command  = "alys-signer-governance"
  checksum = ["sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:2222222222222222222222222222222222222222222222222222222222222222"]
  config {
    endpoint = "governance.example:9443"
    tls {
      ca   = "ca.pem"
      cert = "node.pem"
      key  = "node.key"
    }
  }
}

# An execution client that you run, initialized with `alys genesis`. With geth:
#   geth init --datadir DIR genesis.json
#   geth --datadir DIR --syncmode full --nodiscover --maxpeers 0 --ipcdisable --authrpc.jwtsecret jwt.hex \
#     --http --http.api eth,net,web3,txpool --ws --ws.port 8545 --ws.api eth,net,web3,txpool \
#     --miner.gaslimit 30000000 --miner.gasprice 1 --miner.recommit 100ms --txpool.pricelimit 1
plugin "engine" "v4" {
  command = "alys-engine-v4"
  config {
    mode       = "external"
    endpoint   = "http://127.0.0.1:8551" # the Engine API; no default
    jwt_secret = "jwt.hex"               # the file that the client was started with, closed to others; no default
    rpc        = "http://127.0.0.1:8545" # by default none: no wallets, and the client's pool is not read
  }
}

plugin "engine" "v5" {
  command = "alys-engine-v5"
  config {
    mode     = "embedded"
    cache    = "64MiB"
    archive  = false
    min_free = "256MiB"
    verbose  = false
  }
}

plugin "sync" "parallel" {
  command = "alys-sync-parallel"
}

plugin "sync" "sequential" {
  command = "alys-sync-sequential"
}

# role "signer" may be narrowed instead: role "signer" "approval" and role "signer" "bitcoin".
role "signer" {
  primary  = plugin.signer.local
  fallback = plugin.signer.governance # answers when the primary gives no answer
  shadow   = plugin.signer.governance # asked too, compared, never used
}

role "engine" {
  primary = plugin.engine.v4
  canary { # answers a share of the slots; the others are compared
    plugin  = plugin.engine.v5
    percent = 10
  }
}

role "sync" {
  primary  = flag.parallel_sync ? plugin.sync.parallel : plugin.sync.sequential
  fallback = flag.parallel_sync ? plugin.sync.sequential : plugin.sync.parallel
}

network {
  identity_key       = "${var.data_dir}/p2p.key" # made when absent; by default p2p.key in the data folder
  bootnodes          = []
  static_peers       = []
  allow_peers        = [] # peer ids; empty allows everybody
  external_addresses = []
  mdns               = false
  quic               = true
  target_peers       = 16
  max_peers          = 64
  max_message        = "10MiB"
  request_timeout    = "10s"
  share_engine_peers = true
}

# Without this block the node has no Bitcoin node of its own.
bitcoin {
  url           = "http://127.0.0.1:18443" # no default
  network       = "regtest"                # mainnet, testnet, signet or regtest
  user          = ""
  password      = var.bitcoin_password
  cookie_file   = "bitcoin/.cookie" # instead of user and password; by default none
  ca            = ""                # PEM file, for https
  timeout       = "10s"
  poll_interval = "1s"
}

listener "wallet" { # Ethereum JSON-RPC
  enabled         = true
  address         = "${local.loopback}:8545"
  token           = "" # a bearer token that callers must show
  max_connections = 1024
  max_body        = "5MiB"
  timeout         = "30s"
  origins         = [] # browser origins that may call
}

listener "miner" { # JSON-RPC for merged miners
  address = "${local.loopback}:3000"
}

listener "metrics" { # metrics, health and the console
  address = "${local.loopback}:9001"
}

listener "p2p" { # peers
  address = "${local.loopback}:30300"
}

listener "admin" { # operators, beside the unix socket; off unless it is written
  address = "${local.loopback}:9002"
  tls {
    cert      = "node.pem"
    key       = "node.key"
    client_ca = "ca.pem" # callers must then show a certificate
  }
}

telemetry {
  otlp_endpoint = "" # host:port of an OpenTelemetry collector
  otlp_headers  = {}
  otlp_insecure = false
  sample_ratio  = 0.01
  service_name  = "alys"
  profiling     = false
}

log {
  level     = "info" # trace, debug, info, warn or error
  format    = "text" # or json
  file      = ""     # by default standard error
  max_size  = "100MiB"
  max_files = 10
  levels    = {} # such as { host = "debug" }
}

swap {
  start_timeout      = "10s"
  health_interval    = "5s"
  health_timeout     = "2s"
  health_failures    = 3
  drain_timeout      = "5s"
  max_message        = "64MiB"
  max_in_flight      = 256
  admission_timeout  = "60s"
  admission_samples  = 30
  handover_timeout   = "10s"
  probation          = "60s" # the old generation stays warm for this time and these calls, whichever is later
  probation_calls    = 30
  flip_back_failures = 2 # of at most flip_back_calls
  flip_back_calls    = 300
  flip_back_latency  = 2 # times the old p99
  shadow_queue       = 1024
  shadow_bytes       = "64MiB"
  primary_share      = 0.4 # of a slot
  fallback_share     = 0.3
}

restart {
  initial           = "100ms"
  factor            = 2
  max               = "30s"
  jitter            = 0.2
  reset_after       = "60s"
  breaker_failures  = 5
  breaker_window    = "2m"
  breaker_half_open = "30s"
}

migration "engine-v5" {
  role            = "engine"         # signer, signer.approval, signer.bitcoin, engine or sync; no default
  from            = plugin.engine.v4 # no default
  to              = plugin.engine.v5 # no default
  on_failure      = "rollback"       # or hold
  health_interval = "30s"

  gate "same_answers" {
    metric = "correctness" # zero tolerance, no bounds
  }

  gate "errors" {
    metric  = "error_rate"
    good    = 0.00001
    bad     = 0.0001
    alpha   = 0.05
    beta    = 0.05
    sources = ["shadow", "live"] # also replay
  }

  gate "latency" {
    metric = "latency_ratio"
    max    = 1.1
  }

  gate "votes" {
    metric = "participation"
    min    = 0.999
  }

  # Without any step the default schedule of the role's kind is used.
  step "shadow" {
    primary         = plugin.engine.v4
    shadow          = plugin.engine.v5
    soak            = "2h"             # by default none
    min_samples     = 1000             # by default 0
    approval        = false            # wait for `alys migrate approve`
    allow_no_return = false            # this step may make the way back impossible
    gates           = ["same_answers"] # by default all
  }

  step "canary-10" {
    primary = plugin.engine.v4
    soak    = "6h"
    canary {
      plugin  = plugin.engine.v5
      percent = 10
    }
  }

  step "v5-primary" {
    primary  = plugin.engine.v5
    fallback = plugin.engine.v4
    soak     = "24h"
  }

  step "v5-only" {
    primary  = plugin.engine.v5
    approval = true
  }
}

flag "parallel_sync" {
  enabled     = true # no default
  percent     = 100  # of the nodes
  description = "Download from many peers at once."
  owner       = "sync team"
  risk        = "medium" # low, medium, high or critical
  targets {              # any one is enough
    nodes         = ["fed-0"]
    approval_keys = []
    environments  = ["staging"]
    attributes    = {}
  }
}

flag "improved_gossip" {
  enabled = false
  conditions { # all must hold; such a flag cannot decide a route
    after        = "2026-01-01T00:00:00Z"
    before       = "2027-01-01T00:00:00Z"
    height_above = 1000
    height_below = 1000000
    sync_above   = 0.995
    sync_below   = 1
    start_hour   = 8
    end_hour     = 18
    min_peers    = 3
    max_memory   = "2GiB"
    max_cpu      = 80
  }
}

backup {
  dir              = "${var.data_dir}/backups" # by default `backups` in the data folder
  interval         = "0s"                      # only when asked
  keep             = 7
  recipients       = [] # age public keys
  include_keys     = false
  before_migration = true
}
