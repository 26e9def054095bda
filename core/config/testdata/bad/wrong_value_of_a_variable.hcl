# with: node engine sync
variable "level" {
  default = "loud"
}
log {
  level = var.level
}
swap {
  probation_calls = "${var.level}"
}
