# with: node engine sync
role "signer" {
  primary = plugin.engine.v5
  canary {
    plugin  = plugin.sync.sequential
    percent = 10
  }
}
