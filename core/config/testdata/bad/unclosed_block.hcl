node {
  name = "n"
