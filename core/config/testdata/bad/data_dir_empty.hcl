# with: engine sync
node {
  name     = "n"
  data_dir = ""
}
chain {
  spec = ""
}
