# with: node engine sync
log {
  levle = "info"
  colour = true
}
network {
  max_peer = 3
  tls {
  }
}
