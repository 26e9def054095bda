package devnet_test

import (
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
)

// federationSize is the authorities of the chain that is synced. None of them runs: the test signs with their keys.
const federationSize = 3

// history is a stored chain of notarized blocks in consecutive slots, as a federation of three would have made it.
type history struct {
	t      testing.TB
	spec   *spec.Spec
	store  *store.Store
	chain  *ledger.Chain
	parent *block.Block // of tip
	tip    *block.Block
	nonce  uint64
	keys   int // the first of the development secrets that sign
	engine engine.Engine
}

// newHistory makes a chain of count blocks, with so many transfers in each of them; of 0, one in every tenth.
func newHistory(t testing.TB, bin devnet.Binaries, count, transfers int) *history {
	t.Helper()
	return signedHistory(t, bin, count, transfers, 0)
}

// signedHistory is newHistory, with development secrets from keys on: those of 0 are the authorities', others are nobody's.
func signedHistory(t testing.TB, bin devnet.Binaries, count, transfers, keys int) *history {
	t.Helper()
	s := spec.DevNodes(federationSize)
	genesis, err := s.Genesis()
	check(t, err)
	h := &history{t: t, spec: s, keys: keys, tip: genesis, engine: launchEngine(t, bin, s).Client.Engine()}
	h.store, err = store.Open(store.Options{Dir: t.TempDir(), Genesis: genesis.Header.Hash()})
	check(t, err)
	t.Cleanup(func() { check(t, h.store.Close()) })
	h.chain, err = ledger.Open(t.Context(), ledger.Options{Spec: s, Store: h.store})
	check(t, err)
	// The last slot is well past: nothing of the chain is news.
	first := s.SlotAt(chain.UnixMilli(time.Now().UnixMilli())) - chain.Slot(count) - 100
	for i := range count {
		n := transfers
		if transfers == 0 && i%10 == 0 {
			n = 1
		}
		h.grow(first+chain.Slot(i), n)
	}
	check(t, h.chain.PutQC(t.Context(), h.certificate(h.tip.Header)))
	_, err = h.chain.SetHeads(t.Context(), h.tip.Ref(), h.parent.Ref())
	check(t, err)
	return h
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// launchEngine starts an engine as a node would, on a folder of its own.
func launchEngine(t testing.TB, bin devnet.Binaries, s *spec.Spec) *plugintest.Process {
	t.Helper()
	return plugintest.Launch(t, plugintest.Options{
		Path: filepath.Join(bin.Plugins, "alys-engine-v5"), Kind: lifecycle.Engine,
		Host: lifecycle.Host{ChainID: s.ChainID, GenesisJSON: s.GenesisJSON()},
	})
}

// grow makes, executes and stores one block on the tip.
func (h *history) grow(slot chain.Slot, transfers int) {
	h.t.Helper()
	ctx := h.t.Context()
	h.transfer(transfers)
	parent := h.tip.Header.Hash()
	r, err := h.chain.Attributes(parent, slot)
	check(h.t, err)
	data, err := h.engine.Build(ctx, r)
	check(h.t, err)
	if got := len(data.Payload.Transactions); got != transfers {
		h.t.Fatalf("block %d has %d transactions, want %d", h.tip.Header.Height+1, got, transfers)
	}
	b, err := h.chain.Assemble(parent, slot, h.certificate(h.tip.Header), data)
	check(h.t, err)
	_, err = h.engine.Import(ctx, engine.ImportRequest{
		Payloads: []chain.ExecutionData{data}, Forkchoice: &engine.Forkchoice{Head: data.Payload.BlockHash},
	})
	check(h.t, err)
	var receipts []chain.Receipt
	if transfers > 0 {
		receipts, err = h.engine.Receipts(ctx, data.Payload.BlockHash)
		check(h.t, err)
	}
	check(h.t, h.chain.Insert(ctx, b, receipts))
	h.parent, h.tip = h.tip, b
}

// transfer offers the engine transfers of the funded account.
func (h *history) transfer(count int) {
	h.t.Helper()
	if count == 0 {
		return
	}
	key, err := crypto.HexToECDSA(spec.DevAccountKey[2:])
	check(h.t, err)
	signer := types.LatestSignerForChainID(new(big.Int).SetUint64(h.spec.ChainID))
	raw := make([][]byte, count)
	for i := range raw {
		to := common.Address{19: byte(h.nonce), 18: byte(h.nonce >> 8), 0: 1}
		tx := types.MustSignNewTx(key, signer, &types.DynamicFeeTx{
			ChainID: new(big.Int).SetUint64(h.spec.ChainID), Nonce: h.nonce, GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(1e11), Gas: 21_000, To: &to, Value: big.NewInt(1),
		})
		raw[i], err = tx.MarshalBinary()
		check(h.t, err)
		h.nonce++
	}
	results, err := h.engine.(engine.EngineWithPool).AddTransactions(h.t.Context(), raw)
	check(h.t, err)
	for i, r := range results {
		if !r.Taken() {
			h.t.Fatalf("transaction %d was not taken: %s %s", i, r.Code, r.Text)
		}
	}
}

// certificate is what two of three give a block.
func (h *history) certificate(header chain.Header) block.QC {
	t := h.t
	t.Helper()
	hash := header.Hash()
	if header.Height == 0 {
		return consensus.GenesisQC(hash)
	}
	qc := block.QC{Block: hash, Signers: block.NewSigners(federationSize)}
	var signatures []chain.BLSSignature
	for i := range federationSize - 1 {
		key, err := bls.ParseSecretKey(spec.DevSecret(h.keys + i))
		check(t, err)
		qc.Signers.Set(i)
		signatures = append(signatures, key.Sign(consensus.ApprovalRoot(hash)))
	}
	var err error
	qc.Signature, err = bls.Aggregate(signatures)
	check(t, err)
	return qc
}

// payloads reads the execution data of the whole chain, as the bare engine is given it.
func (h *history) payloads() []chain.ExecutionData {
	h.t.Helper()
	var out []chain.ExecutionData
	for batch, err := range h.chain.Payloads(h.t.Context(), h.chain.Genesis().Ref(), h.tip.Ref()) {
		check(h.t, err)
		out = append(out, batch.Payloads...)
	}
	return out
}

// bare is how fast an engine imports the chain when nothing but a loop drives it.
func (h *history) bare(bin devnet.Binaries, run int) course {
	h.t.Helper()
	blocks := h.payloads()
	p := launchEngine(h.t, bin, h.spec)
	e := p.Client.Engine()
	before, err := devnet.ReadProcess(p.Pid)
	check(h.t, err)
	self, err := devnet.ReadProcess(os.Getpid())
	check(h.t, err)
	start := time.Now()
	for rest := blocks; len(rest) > 0; {
		n := min(run, len(rest))
		r, err := e.Import(h.t.Context(), engine.ImportRequest{
			Payloads: rest[:n], Forkchoice: &engine.Forkchoice{Head: rest[n-1].Payload.BlockHash},
		})
		check(h.t, err)
		if len(r.Statuses) != n || r.Statuses[n-1].Verdict != engine.Valid {
			h.t.Fatalf("the bare engine says %+v", r.Statuses)
		}
		rest = rest[n:]
	}
	took := time.Since(start)
	after, err := devnet.ReadProcess(p.Pid)
	check(h.t, err)
	loop, err := devnet.ReadProcess(os.Getpid())
	check(h.t, err)
	return course{blocks: h.tip.Header.Height, took: took, engine: after.CPU - before.CPU, node: loop.CPU - self.CPU}
}

func (h *history) String() string { return fmt.Sprintf("%d blocks", h.tip.Header.Height) }
