# with: node engine sync
log {
  level = "[31mred[0m"
}
