# with: node engine sync signer
role "signer" "approval" {
  primary = plugin.signer.local
}
