package chain

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/sdk/chain"
)

// withdrawals is the rule's list for a block on a parent with this state. Miner and federation are paid by a block with
// a proof, refunds and peg-ins by one with peg parts; blocks with such parts are not valid yet (checkUnsupported), and
// every other block mints nothing.
func withdrawals(State) []chain.Withdrawal { return []chain.Withdrawal{} }

// next is the state after a valid block: parent is the state before it, receipts are checked.
func next(parent State, b *types.Block, receipts []chain.Receipt) (State, error) {
	tips, base, err := feesOf(b, receipts)
	if err != nil {
		return State{}, err
	}
	s := parent
	minted := new(big.Int)
	for _, w := range b.Withdrawals() {
		minted.Add(minted, new(big.Int).Mul(new(big.Int).SetUint64(w.Amount), big.NewInt(1e9)))
	}
	s.NextWithdrawal += uint64(len(b.Withdrawals()))
	for _, sum := range []struct {
		name string
		to   *chain.Wei
		add  *big.Int
	}{
		{"fees", &s.Fees, tips},
		{"minted", &s.Minted, minted},
		{"burnt", &s.Burnt, new(big.Int).Add(tips, base)},
	} {
		total, ok := chain.WeiFromBig(sum.add.Add(sum.add, sum.to.Big()))
		if !ok {
			return State{}, fmt.Errorf("%s exceed 256 bits", sum.name)
		}
		*sum.to = total
	}
	return s, nil
}
