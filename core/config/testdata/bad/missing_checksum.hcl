# with: engine sync
node {
  name     = "n"
  data_dir = "d"
}
chain {
  spec = "mainnet"
}
