# with: node engine sync
plugin "signer" "local" {
  command = "a"
}
role "signer" "bitcoin" {
  primary = plugin.signer.local
}
