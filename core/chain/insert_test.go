package chain_test

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/core/block"
	alys "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

func TestD17_ReceiptsThatAreNotTheBlocksAreTheEnginesFault(t *testing.T) {
	n := newNode(t, spec.Dev())
	n.transfers(3)
	b := n.build(n.Genesis(), n.first())
	good := n.execute(b)
	if len(good) != 3 {
		t.Fatalf("%d receipts, want 3", len(good))
	}
	for name, bad := range map[string][]chain.Receipt{
		"none":              nil,
		"the last missing":  good[:2],
		"one too many":      append(append([]chain.Receipt{}, good...), good[2]),
		"two exchanged":     {good[1], good[0], good[2]},
		"another gas":       changed(good, func(r *chain.Receipt) { r.CumulativeGasUsed++ }),
		"another outcome":   changed(good, func(r *chain.Receipt) { r.Success = !r.Success }),
		"an invented event": changed(good, func(r *chain.Receipt) { r.Logs = []chain.Log{{Address: chain.Address{1}}} }),
		"another type":      changed(good, func(r *chain.Receipt) { r.Type = 2 }),
		"another bloom":     changed(good, func(r *chain.Receipt) { r.LogsBloom[0] = 1 }),
	} {
		err := n.Insert(t.Context(), b, bad)
		var fault *alys.EngineFaultError
		if !errors.As(err, &fault) || !errors.Is(err, alys.ErrEngineFault) || errors.Is(err, alys.ErrInvalid) {
			t.Errorf("%s: %v, want an EngineFaultError", name, err)
		}
		if has, _ := n.Has(b.Header.Hash()); has {
			t.Fatalf("%s: the block was stored", name)
		}
	}
	must(t, n.Insert(t.Context(), b, good)) // the same block with another engine's answer
}

func changed(receipts []chain.Receipt, change func(*chain.Receipt)) []chain.Receipt {
	out := append([]chain.Receipt{}, receipts...)
	change(&out[0])
	return out
}

// TestFeesAreWhatTheBurnerGot lets geth execute transactions of every type and compares the tips that we derive from
// transactions and receipts with the balance that the fee recipient has in geth's state.
func TestFeesAreWhatTheBurnerGot(t *testing.T) {
	n := newNode(t, spec.DevPrague(1))
	var genesis core.Genesis
	must(t, genesis.UnmarshalJSON(n.spec.GenesisJSON()))
	signer := types.LatestSigner(genesis.Config)
	key := devKey(t)
	burner := common.HexToAddress("0x000000000000000000000000000000000000dEaD")
	one := func(i uint64, baseFee *big.Int) types.TxData {
		over := new(big.Int).Add(baseFee, big.NewInt(5))
		switch i % 4 {
		case 0:
			return &types.LegacyTx{Nonce: i, GasPrice: over, Gas: 21000, To: &common.Address{1}}
		case 1:
			return &types.AccessListTx{ChainID: genesis.Config.ChainID, Nonce: i, GasPrice: over, Gas: 30000, To: &common.Address{1}}
		case 2: // the fee cap binds
			return &types.DynamicFeeTx{ChainID: genesis.Config.ChainID, Nonce: i, GasTipCap: over, GasFeeCap: over, Gas: 90000, Data: common.FromHex("600a600055")}
		default: // the tip cap binds; the call reverts
			return &types.DynamicFeeTx{ChainID: genesis.Config.ChainID, Nonce: i, GasTipCap: big.NewInt(7), GasFeeCap: big.NewInt(50 * params.GWei), Gas: 90000, Data: common.FromHex("60006000fd")}
		}
	}

	engine := beacon.New(nil)
	db, _, _ := core.GenerateChainWithGenesis(&genesis, engine, 0, nil)
	parent, el := n.Genesis(), genesis.ToBlock()
	balance, burnt, nonce := new(big.Int), new(big.Int), uint64(0)
	for i := range 3 {
		slot := max(parent.Header.Slot, n.first()) + 1
		root := common.Hash(parent.Header.Hash())
		blocks, receipts := core.GenerateChain(genesis.Config, el, engine, db, 1, func(_ int, g *core.BlockGen) {
			g.OffsetTime(int64(n.spec.PayloadTime(slot)) - int64(el.Time()) - 10)
			g.SetCoinbase(burner)
			g.SetParentBeaconRoot(root)
			for range 4 + i {
				g.AddTx(types.MustSignNewTx(key, signer, one(nonce, g.BaseFee())))
				nonce++
			}
			balance = g.GetBalance(burner).ToBig()
		})
		el = blocks[0]
		burnt.Add(burnt, new(big.Int).Mul(el.BaseFee(), new(big.Int).SetUint64(el.GasUsed())))
		b, err := n.Assemble(parent.Header.Hash(), slot, certificate(parent.Header), fromGeth(t, el, chain.Hash(root)))
		must(t, err)
		must(t, n.Insert(t.Context(), b, receiptsFromGeth(receipts[0])))
		parent = b
	}
	state, err := n.State(parent.Header.Hash())
	must(t, err)
	if state.Fees.Big().Cmp(balance) != 0 || balance.Sign() == 0 {
		t.Errorf("fees are %s wei, the burner has %s", state.Fees, balance)
	}
	if want := burnt.Add(burnt, balance); state.Burnt.Big().Cmp(want) != 0 {
		t.Errorf("burnt is %s wei, base fees and tips are %s", state.Burnt, want)
	}
	if want := new(big.Int).Neg(burnt); state.Supply().Cmp(want) != 0 {
		t.Errorf("supply is %s, want %s", state.Supply(), want)
	}
}

func fromGeth(t *testing.T, b *types.Block, root chain.Hash) chain.ExecutionData {
	t.Helper()
	base, _ := chain.WeiFromBig(b.BaseFee())
	d := chain.ExecutionData{
		Payload: chain.Payload{
			ParentHash: chain.Hash(b.ParentHash()), FeeRecipient: chain.Address(b.Coinbase()), StateRoot: chain.Hash(b.Root()),
			ReceiptsRoot: chain.Hash(b.ReceiptHash()), LogsBloom: b.Bloom(), Number: chain.Height(b.NumberU64()), GasLimit: b.GasLimit(),
			GasUsed: b.GasUsed(), Timestamp: b.Time(), ExtraData: b.Extra(), BaseFeePerGas: base, BlockHash: chain.Hash(b.Hash()),
			BlobGasUsed: b.BlobGasUsed(), ExcessBlobGas: b.ExcessBlobGas(),
		},
		ParentBeaconRoot: &root, Requests: [][]byte{},
	}
	for _, tx := range b.Transactions() {
		raw, err := tx.MarshalBinary()
		must(t, err)
		d.Payload.Transactions = append(d.Payload.Transactions, raw)
	}
	return d
}

func receiptsFromGeth(list types.Receipts) []chain.Receipt {
	out := make([]chain.Receipt, len(list))
	for i, r := range list {
		out[i] = chain.Receipt{Type: r.Type, Success: r.Status == 1, CumulativeGasUsed: r.CumulativeGasUsed, LogsBloom: r.Bloom}
		for _, l := range r.Logs {
			log := chain.Log{Address: chain.Address(l.Address), Data: l.Data}
			for _, topic := range l.Topics {
				log.Topics = append(log.Topics, chain.Hash(topic))
			}
			out[i].Logs = append(out[i].Logs, log)
		}
	}
	return out
}

func TestInsertedBlockComesBackWithItsCertificate(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 2)
	tip := certificate(line[2].Header)
	must(t, n.PutQC(t.Context(), tip))
	must(t, n.Insert(t.Context(), line[2], nil)) // again: nothing happens
	n.restart()
	for _, want := range line {
		got, err := n.Block(want.Header.Hash())
		must(t, err)
		if !bytes.Equal(got.Encode(), want.Encode()) {
			t.Errorf("block %d came back changed", want.Header.Height)
		}
		at, err := n.BlockAt(want.Header.Height)
		must(t, err)
		if at.Ref() != want.Ref() {
			t.Errorf("height %d is %v, want %v", want.Header.Height, at.Ref(), want.Ref())
		}
	}
	for _, want := range []block.QC{line[2].ParentQC, tip} {
		got, err := n.QC(want.Block)
		must(t, err)
		if got.Hash() != want.Hash() {
			t.Errorf("certificate of %s came back changed", want.Block)
		}
	}
	if _, err := n.BlockAt(3); !errors.Is(err, alys.ErrUnknownBlock) {
		t.Errorf("above the head: %v", err)
	}
	if _, err := n.QC(chain.Hash{1}); !errors.Is(err, alys.ErrUnknownBlock) {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func TestAttributesFixWhatNoProposerChooses(t *testing.T) {
	for name, s := range map[string]*spec.Spec{"shanghai": spec.Dev(), "prague": spec.DevPrague(1)} {
		n := newNode(t, s)
		parent := n.Genesis().Header.Hash()
		got, err := n.Attributes(parent, n.first())
		must(t, err)
		if got.Timestamp != s.PayloadTime(n.first()) || got.FeeRecipient.String() != "0x000000000000000000000000000000000000dead" ||
			!got.PrevRandao.IsZero() || got.Withdrawals == nil || len(got.Withdrawals) != 0 || got.GasLimit != s.GasLimit ||
			got.Parent != n.Genesis().Header.PayloadHash {
			t.Errorf("%s: %+v", name, got)
		}
		if wantRoot := name == "prague"; wantRoot != (got.ParentBeaconRoot != nil) || wantRoot && *got.ParentBeaconRoot != parent {
			t.Errorf("%s: beacon root %v, parent is %v", name, got.ParentBeaconRoot, parent)
		}
		if _, err := n.Attributes(parent, 0); err == nil {
			t.Errorf("%s: the parent's slot was taken", name)
		}
		if _, err := n.Attributes(chain.Hash{1}, n.first()); !errors.Is(err, alys.ErrUnknownBlock) {
			t.Errorf("%s: an unknown parent: %v", name, err)
		}
	}
}

func TestEndedContextChangesNothing(t *testing.T) {
	n := newNode(t, spec.Dev())
	b := n.build(n.Genesis(), n.first())
	ctx := ended(t)
	_, headErr := n.SetHeads(ctx, n.Genesis().Ref(), n.Genesis().Ref())
	for i, err := range []error{n.Check(ctx, b), n.Insert(ctx, b, nil), n.PutQC(ctx, b.ParentQC), headErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
