# with: engine sync
node {
  name     = null
  data_dir = "d"
}
chain {
  spec = "dev"
}
network {
  bootnodes = [null]
}
