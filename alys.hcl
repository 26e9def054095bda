# A small node on the built-in dev chain. `alys dev` has made its key under ./data/keys; then: alys run -c alys.hcl
# Save a change and `alys apply` it, or set watch = true. examples/full.hcl has every argument.

node {
  name     = "node-0"
  data_dir = "./data"
}

chain {
  spec = "dev"
}

plugin "signer" "local" {
  command = "alys-signer-local"
  config {
    keystore = "./data/keys"
    password = "dev" # the keys of the dev chain are public; elsewhere use file("…") or env("…")
  }
}

plugin "engine" "v5" {
  command = "alys-engine-v5"
}

plugin "sync" "sequential" {
  command = "alys-sync-sequential"
}

role "signer" {
  primary = plugin.signer.local
}

role "engine" {
  primary = plugin.engine.v5
}

role "sync" {
  primary = plugin.sync.sequential
}
