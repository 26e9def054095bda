# with: node engine sync
locals {
  a = local.b
  b = "${local.c}!"
  c = upper(local.a)
  d = local.d
  ok = local.a
}
