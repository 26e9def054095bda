# with: node engine sync
rol "signer" {
}
something {
}
spec = "dev"
