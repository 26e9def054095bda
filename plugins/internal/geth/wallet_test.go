package geth_test

import (
	"context"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/gorilla/websocket"

	"github.com/alys-node/alys/plugins/internal/geth"
)

// withWallet starts an engine with a wallet RPC and connects over HTTP and WebSocket.
func withWallet(t *testing.T) (n *node, post, ws *rpc.Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "wallet.sock")
	data := filepath.Join(t.TempDir(), "data")
	n = &node{Engine: open(t, geth.Config{DataDir: data, Genesis: genesis(t, fork{}), WalletSocket: path}), t: t, dir: data}
	if got := n.status().WalletRPC; got != "unix:"+path {
		t.Errorf("wallet RPC is at %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode: %v, %v", info, err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	transport := &http.Transport{DialContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	post, err = rpc.DialOptions(t.Context(), "http://wallet", rpc.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(post.Close)
	ws, err = rpc.DialOptions(t.Context(), "ws://wallet", rpc.WithWebsocketDialer(websocket.Dialer{NetDialContext: dial}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ws.Close)
	return n, post, ws
}

// store is init code of a contract that answers 42: PUSH1 42 PUSH1 0 MSTORE PUSH1 32 PUSH1 0 RETURN.
var store = common.FromHex("0x69602a60005260206000f3600052600a6016f3")

func TestWalletTransferDeployAndCall(t *testing.T) {
	n, post, ws := withWallet(t)
	c, ctx := ethclient.NewClient(post), t.Context()
	heads := make(chan *types.Header, 8)
	sub, err := ethclient.NewClient(ws).SubscribeNewHead(ctx, heads)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()

	tip, err := c.SuggestGasTipCap(ctx)
	if err != nil || tip.Sign() <= 0 {
		t.Fatalf("suggested tip on an empty chain: %v, %v", tip, err)
	}
	price, err := c.SuggestGasPrice(ctx)
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.ChainID(ctx)
	if err != nil || id.Uint64() != chainID {
		t.Fatalf("chain id %v, %v", id, err)
	}
	for _, tx := range []types.TxData{
		&types.DynamicFeeTx{ChainID: id, Nonce: 0, GasTipCap: tip, GasFeeCap: new(big.Int).Mul(price, big.NewInt(2)), Gas: 21_000, To: &common.Address{1}, Value: big.NewInt(5)},
		&types.LegacyTx{Nonce: 1, GasPrice: new(big.Int).Mul(price, big.NewInt(2)), Gas: 200_000, Data: store},
	} {
		signed := types.MustSignNewTx(key(), types.LatestSignerForChainID(id), tx)
		if err := c.SendTransaction(ctx, signed); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "both transactions wait", func() bool {
		txs, err := n.PendingTransactions(ctx, 10)
		return err == nil && len(txs) == 2
	})
	d := n.extend(1)[0]
	if got := len(d.Payload.Transactions); got != 2 {
		t.Fatalf("the block holds %d transactions, want 2", got)
	}
	select {
	case h := <-heads:
		if h.Hash() != common.Hash(d.Payload.BlockHash) {
			t.Errorf("newHeads announced %s", h.Hash())
		}
	case <-time.After(5 * time.Second):
		t.Error("newHeads announced nothing")
	}
	if got, err := c.BalanceAt(ctx, common.Address{1}, nil); err != nil || got.Int64() != 5 {
		t.Errorf("balance %v, %v", got, err)
	}
	block, err := c.BlockByNumber(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := c.TransactionReceipt(ctx, block.Transactions()[1].Hash())
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.CallContract(ctx, ethereum.CallMsg{To: &receipt.ContractAddress}, nil)
	if err != nil || new(big.Int).SetBytes(out).Int64() != 42 {
		t.Errorf("the contract answered %x, %v", out, err)
	}
	var trace json.RawMessage
	if err := post.CallContext(ctx, &trace, "debug_traceTransaction", receipt.TxHash, map[string]string{"tracer": "callTracer"}); err != nil ||
		!strings.Contains(string(trace), `"CREATE"`) {
		t.Errorf("trace %s, %v", trace, err)
	}
}

// TestWalletTransactionsSurviveAKill leaves the engine open, as a killed process does, and opens a copy of its folder.
func TestWalletTransactionsSurviveAKill(t *testing.T) {
	n, post, _ := withWallet(t)
	for nonce := range uint64(2) {
		if err := post.CallContext(t.Context(), nil, "eth_sendRawTransaction", hexutil.Encode(transfer(nonce))); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		t.Fatal(err)
	}
	again := &node{Engine: open(t, geth.Config{DataDir: dir, Genesis: genesis(t, fork{})}), t: t}
	within(t, "both transactions wait again", func() bool {
		txs, err := again.PendingTransactions(t.Context(), 10)
		return err == nil && len(txs) == 2
	})
}

func TestWalletRefusesBlobTransactions(t *testing.T) {
	_, post, _ := withWallet(t)
	for _, method := range []string{"eth_sendRawTransaction", "eth_sendRawTransactionSync"} {
		err := post.CallContext(t.Context(), nil, method, "0x03c0")
		if err == nil || !strings.Contains(err.Error(), "blob transactions") {
			t.Errorf("%s: got %v", method, err)
		}
	}
}

func TestWalletOffersWhatWalletsNeedAndNothingElse(t *testing.T) {
	_, post, ws := withWallet(t)
	for _, c := range []*rpc.Client{post, ws} {
		modules, err := c.SupportedModules()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{"debug", "eth", "net", "rpc", "txpool", "web3"} {
			if _, ok := modules[m]; !ok {
				t.Errorf("no module %s", m)
			}
			delete(modules, m)
		}
		if len(modules) != 0 {
			t.Errorf("modules that should not be there: %v", modules)
		}
	}
	offered := func(method string) bool {
		err := post.CallContext(t.Context(), nil, method)
		return err == nil || !strings.Contains(err.Error(), "does not exist")
	}
	for _, m := range []string{
		"web3_clientVersion", "web3_sha3", "net_version", "eth_chainId", "eth_call", "eth_getLogs", "eth_newFilter", "eth_feeHistory",
		"eth_getBlockReceipts", "eth_syncing", "txpool_status", "debug_traceCall", "debug_traceBlockByHash", "debug_getRawBlock",
	} {
		if !offered(m) {
			t.Errorf("%s is missing", m)
		}
	}
	for _, m := range []string{
		"engine_newPayloadV2", "admin_addPeer", "admin_exportChain", "miner_setGasLimit", "personal_unlockAccount", "testing_buildBlockV1",
		"debug_setHead", "debug_chaindbCompact", "debug_chaindbProperty", "debug_traceBlockFromFile", "debug_standardTraceBlockToFile",
		"debug_standardTraceBadBlockToFile", "debug_cpuProfile", "debug_setGCPercent", "debug_dbGet", "debug_setTrieFlushInterval",
	} {
		if offered(m) {
			t.Errorf("%s is offered", m)
		}
	}
}

// within waits for a condition, for a bounded time.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}
