# with: node
validator {
}
