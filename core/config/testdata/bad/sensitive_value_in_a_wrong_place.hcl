# with: node engine sync
variable "pw" {
  sensitive = true
  default   = "s3cr3t-pw"
}
log {
  level = var.pw
  file  = file(var.pw)
}
swap {
  probation_calls = "${var.pw}"
  probation       = var.pw
}
locals {
  n = tonumber(var.pw)
}
