# with: engine sync
node {
}
chain {
}
