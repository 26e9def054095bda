# with: engine sync
node {
  name     = "n"
  data_dir = "/dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
}
chain {
  spec = "dev"
}
