# with: node engine sync
plugin "signer" "a" {
  command = "../a"
}
plugin "signer" "b" {
  command = ""
}
