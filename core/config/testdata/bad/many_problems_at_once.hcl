nod {
}
node {
  name     = "N N"
  data_dri = "d"
}
chain {
  spec = 1
}
plugin "signer" "local" {
  command  = "a"
  checksum = "x"
}
role "signer" {
  primary = plugin.signer.lokal
}
role "engine" {
  primary = plugin.engine.v5
  canary {
    percent = 0
  }
}
