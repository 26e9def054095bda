# with: node engine sync
locals {
  port = 1
}
variable "level" {
  default = "info"
}
log {
  level  = var.levle
  format = local.prt
  file   = nothing
  levels = { a = text }
}
node_name = plugin.engine.v5
telemetry {
  service_name = plugin.engine.v5
  otlp_endpoint = uper("a")
}
