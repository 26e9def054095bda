# with: node engine sync
log {
  level = "info"
  level = "warn"
}
