# with: node engine sync
plugin "signer" "a" {
  command = "alys-signer-local"
}
plugin "signer" "b" {
  command = "alys-signer-local"
}
flag "new" {
  enabled = true
  conditions {
    after      = "yesterday"
    start_hour = 3
  }
}
flag "half" {
  percent = 101
}
flag "timed" {
  enabled = true
  conditions {
    after      = "2026-02-01T00:00:00Z"
    before     = "2026-01-01T00:00:00Z"
    start_hour = 3
  }
}
role "signer" {
  primary  = flag.timed ? plugin.signer.a : plugin.signer.b
  fallback = flag.nwe ? plugin.signer.a : plugin.signer.b
}
