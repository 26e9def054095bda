# with: node engine sync
node "x" {
}
plugin "signer" {
  command = "a"
}
role {
}
role "signer" "approval" "x" {
}
listener {
}
migration {
}
log "a" {
}
