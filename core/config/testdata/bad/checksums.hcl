# with: node engine sync
plugin "signer" "a" {
  command  = "a"
  checksum = "sha256:ABC"
}
plugin "signer" "b" {
  command  = "a"
  checksum = ["md5:0", 1]
}
plugin "signer" "c" {
  command  = "a"
  checksum = true
}
