# with: node engine sync
plugin "engine" "v4" {
  command = "a"
}
flag "x" {
  enabled = true
}
migration "m" {
  role = "engine"
  from = plugin.engine.v4
  to   = plugin.engine.v4
  health_interval = "1h"
}
migration "n" {
  role = "engine"
  from = plugin.engine.v4
  to   = plugin.engine.v5
  gate "a" {
    metric = "error_rate"
    good   = 0.5
    bad    = 0.1
  }
  gate "a" {
    metric = "latency_p99"
  }
  gate "b" {
    metric = "correctness"
    max    = 1
  }
  step "one" {
    primary = plugin.engine.v4
    shadow  = plugin.engine.v4
    gates   = ["c"]
  }
  step "one" {
    primary = plugin.engine.v4
    canary {
      plugin  = plugin.sync.sequential
      percent = 10
    }
  }
}
migration "o" {
  role = "engines"
  from = flag.x ? plugin.engine.v4 : plugin.engine.v5
  to   = plugin.sync.sequential
  gate "g" {
    metric = "eror_rate"
  }
}
migration "o" {
}
