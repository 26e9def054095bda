# with: node engine sync
locals {
  a = 1 / 0
  b = [1, 2][7]
  c = "a" + 1
  d = upper()
  e = format("%99999d", 1)
  f = { a = 1 }.b
  g = null.x
}
