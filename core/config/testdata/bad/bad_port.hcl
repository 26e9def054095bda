# with: node engine sync
listener "miner" {
  address = "localhost:99999"
}
listener "p2p" {
  address = "9001"
}
