# with: node engine sync
plugin "signer" "a" {
  command = "a"
  config {
  }
  config "x" {
    a = var.none
  }
}
