# with: node engine sync
bitcoin {
  url         = "http://u:p@127.0.0.1:1"
}
backup {
  include_keys = true
}
network {
  max_peers = 3
}
swap {
  primary_share  = 0.6
  fallback_share = 0.6
}
restart {
  max = "1ms"
}
