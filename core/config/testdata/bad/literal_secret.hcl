# with: engine sync
node {
  name     = "n"
  data_dir = "d"
}
chain {
  spec = "mainnet"
}
bitcoin {
  url      = "http://127.0.0.1:1"
  user     = "u"
  password = "hunter2!"
}
