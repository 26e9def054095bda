# with: node engine sync
plugin "signer" "a" {
  command = "alys-signer-local"
}
plugin "signer" "b" {
  command = "alys-signer-local"
}
role "signer" {
  primary = plugin.signer.a
  canary {
    plugin  = plugin.signer.b
    percent = 0
  }
}
