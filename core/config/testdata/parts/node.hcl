node {
  name     = "n"
  data_dir = "data"
}
chain {
  spec = "dev"
}
