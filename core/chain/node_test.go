package chain_test

import (
	"context"
	"crypto/ecdsa"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/core/block"
	alys "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// node is a chain on a real store, with an engine in memory that is given every block.
type node struct {
	*alys.Chain
	t      testing.TB
	spec   *spec.Spec
	dir    string
	store  *store.Store
	engine *enginetest.Memory
	nonce  uint64
}

func newNode(t testing.TB, s *spec.Spec) *node {
	t.Helper()
	e, err := enginetest.NewMemory(s.GenesisJSON())
	must(t, err)
	n := &node{t: t, spec: s, dir: t.TempDir(), engine: e}
	n.open()
	t.Cleanup(func() { _ = n.store.Close() })
	return n
}

// open opens the folder: what a start of the node does.
func (n *node) open() {
	n.t.Helper()
	genesis, err := n.spec.Genesis()
	must(n.t, err)
	n.store, err = store.Open(store.Options{Dir: n.dir, Genesis: genesis.Header.Hash()})
	must(n.t, err)
	n.Chain, err = alys.Open(n.t.Context(), alys.Options{Spec: n.spec, Store: n.store})
	must(n.t, err)
}

// restart closes the store and opens it again: nothing is left in memory.
func (n *node) restart() {
	n.t.Helper()
	must(n.t, n.store.Close())
	n.open()
}

func (n *node) first() chain.Slot { return n.spec.FirstSlot() }

// certificate is a certificate for a block; its signature is consensus's to judge.
func certificate(h chain.Header) block.QC {
	qc := block.QC{Block: h.Hash()}
	if h.Height > 0 {
		qc.Signers, qc.Signature = block.Signers{1}, chain.BLSSignature{byte(h.Height)}
	}
	return qc
}

// build makes a block on parent without storing it.
func (n *node) build(parent *block.Block, slot chain.Slot) *block.Block {
	n.t.Helper()
	attrs, err := n.Attributes(parent.Header.Hash(), slot)
	must(n.t, err)
	data, err := n.engine.Build(n.t.Context(), attrs)
	must(n.t, err)
	b, err := n.Assemble(parent.Header.Hash(), slot, certificate(parent.Header), data)
	must(n.t, err)
	return b
}

// execute gives a block to the engine and returns the receipts.
func (n *node) execute(b *block.Block) []chain.Receipt {
	n.t.Helper()
	result, err := n.engine.Import(n.t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{b.Execution}})
	must(n.t, err)
	if len(result.Statuses) != 1 || result.Statuses[0].Verdict != engine.Valid {
		n.t.Fatalf("engine says %+v", result.Statuses)
	}
	receipts, err := n.engine.Receipts(n.t.Context(), b.Header.PayloadHash)
	must(n.t, err)
	return receipts
}

// grow makes a block on parent, executes and stores it. The heads stay.
func (n *node) grow(parent *block.Block, slot chain.Slot) *block.Block {
	n.t.Helper()
	b := n.build(parent, slot)
	must(n.t, n.Insert(n.t.Context(), b, n.execute(b)))
	return b
}

// extend grows a line of count blocks on parent, makes it the chain, and returns it with parent in front.
func (n *node) extend(parent *block.Block, count int) []*block.Block {
	n.t.Helper()
	line := []*block.Block{parent}
	slot := max(parent.Header.Slot+1, n.first())
	for range count {
		line = append(line, n.grow(line[len(line)-1], slot))
		slot++
	}
	n.setHeads(line[len(line)-1], n.safe())
	return line
}

func (n *node) safe() *block.Block {
	n.t.Helper()
	_, safe, _ := n.Heads()
	b, err := n.Block(safe.Hash)
	must(n.t, err)
	return b
}

func (n *node) setHeads(head, safe *block.Block) alys.Reorg {
	n.t.Helper()
	r, err := n.SetHeads(n.t.Context(), head.Ref(), safe.Ref())
	must(n.t, err)
	return r
}

// forkchoice tells the engine the heads.
func (n *node) forkchoice() {
	n.t.Helper()
	fc, err := n.Forkchoice()
	must(n.t, err)
	_, err = n.engine.Import(n.t.Context(), engine.ImportRequest{Forkchoice: &fc})
	must(n.t, err)
}

func devKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.ToECDSA(common.FromHex(spec.DevAccountKey))
	must(t, err)
	return key
}

// transfers offers count signed transfers to the engine's pool, of every type there is, with a tip.
func (n *node) transfers(count int) {
	n.t.Helper()
	key := devKey(n.t)
	signer := types.LatestSignerForChainID(big.NewInt(spec.DevChainID))
	to := common.Address{1}
	for range count {
		var data types.TxData
		switch n.nonce % 3 {
		case 0:
			data = &types.LegacyTx{Nonce: n.nonce, GasPrice: big.NewInt(3 * params.GWei), Gas: 21000, To: &to, Value: big.NewInt(1)}
		case 1:
			data = &types.AccessListTx{ChainID: big.NewInt(spec.DevChainID), Nonce: n.nonce, GasPrice: big.NewInt(4 * params.GWei), Gas: 21000, To: &to}
		case 2:
			data = &types.DynamicFeeTx{ChainID: big.NewInt(spec.DevChainID), Nonce: n.nonce, GasTipCap: big.NewInt(params.GWei), GasFeeCap: big.NewInt(50 * params.GWei), Gas: 21000, To: &to}
		}
		n.nonce++
		raw, err := types.MustSignNewTx(key, signer, data).MarshalBinary()
		must(n.t, err)
		answers, err := n.engine.AddTransactions(n.t.Context(), [][]byte{raw})
		must(n.t, err)
		if !answers[0].Taken() {
			n.t.Fatalf("engine refuses the transfer: %s: %s", answers[0].Code, answers[0].Text)
		}
	}
}

// withStallLimit is the development chain with another limit of blocks without a proof.
func withStallLimit(t testing.TB, limit uint64) *spec.Spec {
	t.Helper()
	s := *spec.Dev()
	s.MaxBlocksWithoutPoW = limit
	return &s
}

// ended is a context that is over.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
