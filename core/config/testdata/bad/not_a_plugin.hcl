# with: node engine sync
plugin "signer" "a" {
  command = "alys-signer-local"
}
plugin "signer" "b" {
  command = "alys-signer-local"
}
role "signer" {
  primary  = "signer.a"
  fallback = local
  shadow   = plugin.signer
}
