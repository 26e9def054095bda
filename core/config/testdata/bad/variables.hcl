# with: node engine sync
variable "a" {
  type = strng
}
variable "b" {
  type    = number
  default = "x"
}
variable "c" {
}
variable "d" {
  default = upper("x")
  kind    = 1
}
variable "e" {
  default = var.a
}
variable "f" {
  default = 5
  validation {
    condition     = var.f > 10
    error_message = "f is ${var.f}, which is too small."
  }
  validation {
    condition = true
  }
}
variable "f" {
}
variable "g-1 x" {
}
variable "h" {
  sensitive = "perhaps"
  default   = "s3cr3t-h"
}
