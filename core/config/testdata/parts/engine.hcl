plugin "engine" "v5" {
  command = "alys-engine-v5"
}
role "engine" {
  primary = plugin.engine.v5
}
