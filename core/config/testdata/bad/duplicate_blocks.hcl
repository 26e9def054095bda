# with: node engine sync
log {
}
log {
}
listener "wallet" {
}
listener "wallet" {
}
role "engine" {
  primary = plugin.engine.v5
}
plugin "engine" "v5" {
  command = "x"
}
