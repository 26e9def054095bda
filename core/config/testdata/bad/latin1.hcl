node {
  name = "café"
}
