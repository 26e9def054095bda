# with: node engine sync
listener "walet" {
}
