# with: node engine sync signer
role "signer" "approval" {
  primary  = plugin.signer.locl
  fallback = plugin.singer.local
  shadow   = plugin.engine.v4
}
