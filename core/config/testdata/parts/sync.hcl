plugin "sync" "sequential" {
  command = "alys-sync-sequential"
}
role "sync" {
  primary = plugin.sync.sequential
}
