# with: node engine sync
node_x = 1
log {
  level     = ["info"]
  max_files = "many"
  max_size  = 100
}
swap {
  probation = "60"
  drain_timeout = 5
  max_message = "64 parsecs"
  primary_share = true
}
