package geth_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"math/big"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

const (
	chainID     = 121212
	genesisTime = 1_000_000
	gasLimit    = 30_000_000
	slot        = 2 // seconds
)

// builder goes into each block's extra data: engines with one name build one chain.
const builder = "alys/engine-v5"

// keyHex is a key of the tests only.
const keyHex = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"

type fork struct{ cancun, prague, osaka uint64 } // seconds after genesis; 0: never

// genesisJSON is a genesis like the chain spec's.
func genesisJSON(f fork, change ...func(top, config map[string]any)) []byte {
	blobs := func(fraction int) map[string]any {
		return map[string]any{"target": 0, "max": 0, "baseFeeUpdateFraction": fraction}
	}
	config := map[string]any{
		"chainId": chainID, "terminalTotalDifficulty": 0, "shanghaiTime": 0,
		"blobSchedule": map[string]any{"cancun": blobs(3338477), "prague": blobs(5007716)},
	}
	for _, n := range []string{
		"homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin", "london",
	} {
		config[n+"Block"] = 0
	}
	for name, at := range map[string]uint64{"cancunTime": f.cancun, "pragueTime": f.prague, "osakaTime": f.osaka} {
		if at != 0 {
			config[name] = genesisTime + at
		}
	}
	alloc := map[string]any{account().Hex(): map[string]any{"balance": "0x21e19e0c9bab2400000"}}
	for a, acc := range core.SystemContractAllocs() {
		alloc[a.Hex()] = acc
	}
	alloc["0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"] = map[string]any{"balance": "0x0", "code": bridgeCode}
	top := map[string]any{
		"config": config, "timestamp": common.BigToHash(big.NewInt(genesisTime)).Big().String(), "gasLimit": "0x1c9c380",
		"difficulty": "0x0", "alloc": alloc,
	}
	for _, c := range change {
		c(top, config)
	}
	js, err := json.Marshal(top)
	if err != nil {
		panic(err)
	}
	return js
}

func genesis(t testing.TB, f fork) *execution.Genesis {
	t.Helper()
	g, err := execution.ParseGenesis(genesisJSON(f), execution.Prague)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func key() *ecdsa.PrivateKey {
	k, err := crypto.HexToECDSA(keyHex)
	if err != nil {
		panic(err)
	}
	return k
}

func account() common.Address { return crypto.PubkeyToAddress(key().PublicKey) }

// open opens an engine and closes it at the end of the test.
func open(t testing.TB, c geth.Config) *geth.Engine {
	t.Helper()
	if c.DataDir == "" {
		c.DataDir = filepath.Join(t.TempDir(), "data")
	}
	c.MinFree = 1 << 20
	e, err := geth.Open(c, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// node is an engine with the genesis that it runs on.
type node struct {
	*geth.Engine
	t   testing.TB
	f   fork
	dir string // the data folder, where a test needs it
}

func start(t testing.TB, f fork) *node {
	t.Helper()
	return &node{Engine: open(t, geth.Config{Genesis: genesis(t, f), Name: builder}), t: t, f: f}
}

// openAt opens the engine of a data folder on a chain without forks.
func openAt(t testing.TB, dir string) *geth.Engine {
	t.Helper()
	return open(t, geth.Config{DataDir: dir, Genesis: genesis(t, fork{}), Name: builder})
}

func (n *node) status() engine.Status {
	n.t.Helper()
	s, err := n.Status(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// request is a build request on a parent, some slots later.
func (n *node) request(parent chain.Hash, at uint64) engine.BuildRequest {
	r := engine.BuildRequest{
		Parent: parent, Timestamp: at, FeeRecipient: chain.Address{18: 0xde, 19: 0xad}, GasLimit: gasLimit,
	}
	if n.f.cancun != 0 && at >= genesisTime+n.f.cancun {
		r.ParentBeaconRoot = &chain.Hash{1: 7}
	}
	return r
}

func (n *node) build(r engine.BuildRequest) chain.ExecutionData {
	n.t.Helper()
	d, err := n.Build(n.t.Context(), r)
	if err != nil {
		n.t.Fatal(err)
	}
	return d
}

// head imports payloads and makes the last one head.
func (n *node) head(ds ...chain.ExecutionData) engine.ImportResult {
	n.t.Helper()
	res, err := n.Import(context.WithoutCancel(n.t.Context()), engine.ImportRequest{
		Payloads: ds, Forkchoice: &engine.Forkchoice{Head: ds[len(ds)-1].Payload.BlockHash},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	for _, s := range res.Statuses {
		if s.Verdict != engine.Valid {
			n.t.Fatalf("payload %s is %s: %s", s.Hash, s.Verdict, s.Reason)
		}
	}
	return res
}

// extend produces count blocks on the head, one a slot.
func (n *node) extend(count int) []chain.ExecutionData {
	n.t.Helper()
	parent := n.status().Heads.Head
	at := genesisTime + uint64(parent.Height)*slot
	out := make([]chain.ExecutionData, count)
	for i := range out {
		at += slot
		r := n.request(parent.Hash, at)
		r.Withdrawals = []chain.Withdrawal{{Index: at, Address: chain.Address{19: 9}, Amount: 10}}
		out[i] = n.build(r)
		n.head(out[i])
		parent.Hash = out[i].Payload.BlockHash
	}
	return out
}

// transfer signs an EIP-1559 transfer of one wei.
func transfer(nonce uint64) []byte {
	return sign(&types.DynamicFeeTx{
		ChainID: big.NewInt(chainID), Nonce: nonce, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2e9), Gas: 21_000,
		To: &common.Address{1}, Value: big.NewInt(1),
	})
}

func sign(tx types.TxData) []byte {
	signed, err := types.SignNewTx(key(), types.LatestSignerForChainID(big.NewInt(chainID)), tx)
	if err != nil {
		panic(err)
	}
	raw, err := signed.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return raw
}

func (n *node) add(txs ...[]byte) {
	n.t.Helper()
	errs, err := n.AddTransactions(n.t.Context(), txs)
	if err != nil {
		n.t.Fatal(err)
	}
	for i, e := range errs {
		if !e.Taken() {
			n.t.Fatalf("transaction %d: %s: %s", i, e.Code, e.Text)
		}
	}
}

// bridgeCode is the runtime code of the bridge contract.
const bridgeCode = "0x60806040526004361061002a5760003560e01c80639911dc741461007d578063fccc28131461009057005b3661007b5760405162461bcd60e51b815260206004820152601f60248201527f43616e6e6f74206275726e20776974686f757420425443206164647265737300604482015260640160405180910390fd5b005b61007b61008b36600461013a565b6100c2565b34801561009c57600080fd5b506100a661dead81565b6040516001600160a01b03909116815260200160405180910390f35b60405161dead903480156108fc02916000818181858888f193505050501580156100f0573d6000803e3d6000fd5b50336001600160a01b03167faa1c6070bc915de33c0fbc36ecf77b1e4fc1ebce832b2da62b6fe25f5a7dd5b083833460405161012e939291906101ac565b60405180910390a25050565b6000806020838503121561014d57600080fd5b823567ffffffffffffffff8082111561016557600080fd5b818501915085601f83011261017957600080fd5b81358181111561018857600080fd5b86602082850101111561019a57600080fd5b60209290920196919550909350505050565b604081528260408201528284606083013760006060848301015260006060601f19601f860116830101905082602083015294935050505056fea264697066735822122095f74a5748b7259909af2ff229f8029d4d7912d69c416eff519159e13ad4fbfe64736f6c63430008150033"

// rehash gives a changed payload the hash that its fields have.
func rehash(t *testing.T, d *chain.ExecutionData) {
	t.Helper()
	p := d.Payload
	ws := make(types.Withdrawals, len(p.Withdrawals))
	for i, w := range p.Withdrawals {
		ws[i] = &types.Withdrawal{Index: w.Index, Validator: w.Validator, Address: common.Address(w.Address), Amount: uint64(w.Amount)}
	}
	root := types.DeriveSha(ws, trie.NewStackTrie(nil))
	h := &types.Header{
		ParentHash: common.Hash(p.ParentHash), UncleHash: types.EmptyUncleHash, Coinbase: common.Address(p.FeeRecipient),
		Root: common.Hash(p.StateRoot), TxHash: types.EmptyTxsHash, ReceiptHash: common.Hash(p.ReceiptsRoot), Bloom: p.LogsBloom,
		Difficulty: new(big.Int), Number: new(big.Int).SetUint64(uint64(p.Number)), GasLimit: p.GasLimit, GasUsed: p.GasUsed,
		Time: p.Timestamp, Extra: p.ExtraData, MixDigest: common.Hash(p.PrevRandao), BaseFee: p.BaseFeePerGas.Big(), WithdrawalsHash: &root,
	}
	d.Payload.BlockHash = chain.Hash(h.Hash())
}
