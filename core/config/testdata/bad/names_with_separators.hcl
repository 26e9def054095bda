# with: node engine sync
plugin "signer" "../../etc" {
  command = "a"
}
plugin "signer" "A B" {
  command = "a"
}
plugin "signer" "" {
  command = "a"
}
flag "x.y" {
  enabled = true
}
