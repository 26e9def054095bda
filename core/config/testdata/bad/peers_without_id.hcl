# with: engine sync
node {
  name     = "n"
  data_dir = "d"
}
chain {
  spec = "dev"
}
network {
  bootnodes          = ["/ip4/192.0.2.1/tcp/30300"]
  static_peers       = ["192.0.2.1:30300", "/ip4/192.0.2.1/tcp/30300/p2p/", "/ip4/192.0.2.1/tcp/30300/p2p/12D3KooW/p2p-circuit"]
  external_addresses = ["/ip4/192.0.2.1/tcp/30300"]
}
