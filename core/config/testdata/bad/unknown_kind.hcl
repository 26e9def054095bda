# with: node engine sync
plugin "singer" "local" {
  command = "a"
}
role "engin" {
  primary = plugin.engine.v5
}
role "signer" "bitcon" {
  primary = plugin.signer.local
}
role "engine" "approval" {
  primary = plugin.engine.v5
}
