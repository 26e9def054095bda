# with: node engine sync
variable "pin" {
  sensitive = true
  default   = "q7"
}
locals {
  a = tonumber(var.pin)
  b = tonumber(sensitive("q7"))
  c = file("${var.pin}.txt")
}
log {
  max_files = var.pin
  levels    = { (var.pin) = "x" }
}
