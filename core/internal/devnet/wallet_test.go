package devnet_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"math/big"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/spec"
)

// wallet sends from the development account.
type wallet struct {
	*ethclient.Client
	t      *testing.T
	key    *ecdsa.PrivateKey
	from   common.Address
	signer types.Signer
}

func newWallet(t *testing.T, n *devnet.Node) *wallet {
	t.Helper()
	key, err := crypto.HexToECDSA(strings.TrimPrefix(spec.DevAccountKey, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return &wallet{n.Wallet("http"), t, key, crypto.PubkeyToAddress(key.PublicKey), types.LatestSignerForChainID(big.NewInt(spec.DevChainID))}
}

func (w *wallet) nonce() uint64 {
	w.t.Helper()
	nonce, err := w.PendingNonceAt(w.t.Context(), w.from)
	if err != nil {
		w.t.Fatal(err)
	}
	return nonce
}

// send sends a dynamic-fee transaction and gives its hash.
func (w *wallet) send(nonce uint64, to *common.Address, value int64, data []byte) common.Hash {
	w.t.Helper()
	hash, err := w.trySend(w.t.Context(), nonce, to, value, data...)
	if err != nil {
		w.t.Fatalf("send with nonce %d: %v", nonce, err)
	}
	return hash
}

func (w *wallet) trySend(ctx context.Context, nonce uint64, to *common.Address, value int64, data ...byte) (common.Hash, error) {
	tip, err := w.SuggestGasTipCap(ctx)
	if err != nil {
		return common.Hash{}, err
	}
	head, err := w.HeaderByNumber(ctx, nil)
	if err != nil {
		return common.Hash{}, err
	}
	tx, err := types.SignNewTx(w.key, w.signer, &types.DynamicFeeTx{
		ChainID: big.NewInt(spec.DevChainID), Nonce: nonce, GasTipCap: tip, GasFeeCap: new(big.Int).Add(tip, new(big.Int).Mul(head.BaseFee, big.NewInt(2))),
		Gas: 200_000, To: to, Value: big.NewInt(value), Data: data,
	})
	if err != nil {
		return common.Hash{}, err
	}
	return tx.Hash(), w.SendTransaction(ctx, tx)
}

// mined waits for a successful receipt.
func (w *wallet) mined(hash common.Hash) *types.Receipt {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := w.TransactionReceipt(ctx, hash)
		if err == nil {
			if r.Status != types.ReceiptStatusSuccessful {
				w.t.Fatalf("transaction %s failed: %+v", hash, r)
			}
			return r
		}
		// geth answers "indexing is in progress" for a transaction that it does not know while it starts.
		if ctx.Err() == nil && !errors.Is(err, ethereum.NotFound) && !strings.Contains(err.Error(), "indexing") {
			w.t.Fatalf("receipt of %s: %v", hash, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("transaction %s was not mined", hash)
		}
	}
}

func (w *wallet) balance(a common.Address) *big.Int {
	w.t.Helper()
	b, err := w.BalanceAt(w.t.Context(), a, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func TestEndToEndWalletTransfersAndCallsAContract(t *testing.T) {
	n := start(t, "")
	w := newWallet(t, n)
	heads := n.Watch()
	ctx := t.Context()

	to := common.Address{0xaa, 1}
	before := w.balance(w.from)
	r := w.mined(w.send(w.nonce(), &to, 12345, nil))
	if got := w.balance(to); got.Int64() != 12345 {
		t.Errorf("the recipient has %s wei, want 12345", got)
	}
	block, err := w.BlockByHash(ctx, r.BlockHash)
	if err != nil {
		t.Fatal(err)
	}
	tx := block.Transactions()[r.TransactionIndex]
	price := new(big.Int).Add(block.BaseFee(), tx.EffectiveGasTipValue(block.BaseFee()))
	if r.GasUsed != 21000 || r.EffectiveGasPrice.Cmp(price) != 0 || tx.Type() != types.DynamicFeeTxType {
		t.Errorf("gas %d at %s, type %d; want 21000 at base fee and tip %s, type 2", r.GasUsed, r.EffectiveGasPrice, tx.Type(), price)
	}
	paid := new(big.Int).Add(big.NewInt(12345), new(big.Int).Mul(price, big.NewInt(21000)))
	if spent := new(big.Int).Sub(before, w.balance(w.from)); spent.Cmp(paid) != 0 {
		t.Errorf("the sender paid %s wei, want value and fee %s", spent, paid)
	}

	// A contract that stores the word it is called with, and gives it back when called with nothing.
	runtime := common.FromHex("36600f5760005460005260206000f35b60003560005500")
	created := w.mined(w.send(w.nonce(), nil, 0, append(append([]byte{0x76}, runtime...), common.FromHex("60005260176009f3")...)))
	contract := created.ContractAddress
	if code, err := w.CodeAt(ctx, contract, nil); err != nil || string(code) != string(runtime) {
		t.Fatalf("code of the contract is %x (%v), want %x", code, err, runtime)
	}
	word := common.BigToHash(big.NewInt(42))
	w.mined(w.send(w.nonce(), &contract, 0, word[:]))
	got, err := w.CallContract(ctx, ethereum.CallMsg{To: &contract}, nil)
	if err != nil || common.BytesToHash(got) != word {
		t.Errorf("the contract answers %x (%v), want %x", got, err, word)
	}
	if _, err := heads.Count(); err != nil {
		t.Errorf("the subscription ended: %v", err)
	}
	f := heads.Figures(0)
	if f.Blocks < 3 {
		t.Errorf("%d heads by eth_subscribe, want one for each block", f.Blocks)
	}
	t.Logf("eth_subscribe: %d heads, median %s and at worst %s after the slot's start", f.Blocks, f.Median, f.Worst)
	everySlot(t, n, n.Status().MissedOwn)
}

// TestEndToEndPendingTransactionsSurvive sends transactions with a gap before them, so that no block can take them, ends
// the process that holds them, and closes the gap.
func TestEndToEndPendingTransactionsSurvive(t *testing.T) {
	n := start(t, "")
	w := newWallet(t, n)
	to := common.Address{0xaa, 2}
	for _, story := range []struct {
		name string
		end  func()
	}{
		{"the engine is killed", func() {
			old := n.Primary("engine").PID
			if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			n.Until("engine back", 20*time.Second, func() bool {
				g := n.Primary("engine")
				return g.PID != 0 && g.PID != old && g.State == "ready"
			})
		}},
		{"the node is stopped and started", func() { n.Stop(); n.UntilGone(5 * time.Second); n.Start() }},
		{"the node is killed and started", func() { n.Kill(); n.Start() }},
	} {
		first := w.nonce()
		late := []common.Hash{w.send(first+1, &to, 1, nil), w.send(first+2, &to, 1, nil)}
		n.UntilBlocks(1)
		story.end()
		if _, pending, err := w.TransactionByHash(t.Context(), late[1]); err != nil || !pending {
			t.Errorf("%s: transaction behind the gap: pending %v, %v", story.name, pending, err)
		}
		for _, hash := range append(late, w.send(first, &to, 1, nil)) {
			w.mined(hash)
		}
	}
	if got := w.balance(to); got.Int64() != 9 {
		t.Errorf("the recipient has %s wei, want 9: each transaction once", got)
	}
	audit(t, n)
}
