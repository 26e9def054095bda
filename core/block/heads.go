package block

import "github.com/alys-node/alys/sdk/chain"

// Heads are the three heads of a node's view of the chain. Finalized is an ancestor of Safe, Safe of Head; at the start
// all three are genesis.
type Heads struct {
	Head      chain.Ref // tip of the longest notarized chain
	Safe      chain.Ref // BFT-final: never leaves the chain
	Finalized chain.Ref // end of the last range that Bitcoin miners proved, in the safe block's ancestors
}
