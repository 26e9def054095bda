package block

// Derived is a block with the record of the state that follows from it, as a store keeps the two: together or not at all.
type Derived struct {
	Block *Block
	State []byte
}
