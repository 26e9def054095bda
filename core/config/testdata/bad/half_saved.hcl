# with: node engine sync
plugin "signer" "local" {
  command = "alys-signer-local"
  config {
    keystore = "./ke