plugin "signer" "local" {
  command = "alys-signer-local"
}
role "signer" {
  primary = plugin.signer.local
}
