# with: node engine sync
listener "admin" {
}
listener "metrics" {
  address = "0.0.0.0:9001"
}
