# with: node engine sync signer
plugin "signer" "spare" {
  command = "a"
}
