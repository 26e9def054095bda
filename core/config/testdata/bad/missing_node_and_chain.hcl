# with: engine sync
log {
}
