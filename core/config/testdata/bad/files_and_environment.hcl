# with: node engine sync
locals {
  a = file("none.txt")
  b = env("NOT_SET")
  c = env("NOT_SET", "default")
  d = env("SET")
  e = file(".")
  f = env("A", "b", "c")
  g = file(1)
}
