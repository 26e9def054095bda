# with: node engine sync
plugin "signer" "a" {
  command = "a"
  config {
    password = "hunter2!" oops
  }
}
