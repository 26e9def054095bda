# with: node engine sync
locals {
  a = 1
}
locals {
  a = 2
}
