# with: node engine sync
listener "wallet" {
  address = "127.0.0.1:3000"
}
listener "p2p" {
  address = "0.0.0.0:9001"
}
