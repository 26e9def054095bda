# Authority 0 of three; see ../README.md. The key in ./keys is public: for a network of your own make another one.

node {
  name     = "fed-0"
  data_dir = "."
}

chain {
  spec = "../spec.json"
}

log {
  file = "./alys.log"
}

plugin "signer" "local" {
  command = "alys-signer-local"
  config {
    keystore = "./keys"
    password = trimspace(file("../password"))
  }
}

plugin "engine" "v5" {
  command = "alys-engine-v5"
}

plugin "sync" "parallel" {
  command = "alys-sync-parallel"
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
  primary  = plugin.sync.parallel
  fallback = plugin.sync.sequential
}

# The peer id is that of ./p2p.key. On machines of their own the others' addresses are theirs, and p2p listens on 0.0.0.0.
network {
  static_peers = [
    "/ip4/127.0.0.1/tcp/30301/p2p/12D3KooWNvVPdEoyopP8xbz2u2QBvtGHxBb7psk25WtBZ6B4ZeLv",
    "/ip4/127.0.0.1/tcp/30302/p2p/12D3KooWG2iRdDyTssguDinMZYo2AsHpLDn2nwMDwAy9xnh7uFsK",
  ]
}

listener "wallet" {
  address = "127.0.0.1:8545"
}

listener "metrics" {
  address = "127.0.0.1:9001"
}

listener "p2p" {
  address = "127.0.0.1:30300"
}
