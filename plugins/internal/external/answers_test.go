package external_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/external"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// TestForkchoiceIsReadBack: a client says VALID, or fails, and what counts is where its head is.
func TestForkchoiceIsReadBack(t *testing.T) {
	g := genesisOf(t, execution.Prague)
	f := serve(t, g)
	e := open(t, f, g)
	head := chain.Hash(f.at(genesisTime + 2).Hash())
	ask := func(fc engine.Forkchoice) error {
		_, err := e.Import(t.Context(), engine.ImportRequest{Forkchoice: &fc})
		return err
	}
	for _, tc := range []struct {
		name   string
		answer string
		fc     engine.Forkchoice
		want   error // nil: it moved
	}{
		{"moved", "", engine.Forkchoice{Head: head}, nil},
		{"stayed behind a VALID", "", engine.Forkchoice{Head: g.Hash()}, engine.ErrDidNotMove},
		{"too deep a reorganization", `"error":{"code":-38006,"message":"too deep"}`, engine.Forkchoice{Head: g.Hash()}, engine.ErrDidNotMove},
		{"an unknown head", "", engine.Forkchoice{Head: chain.Hash{1}}, engine.ErrSyncing},
		{"an unknown safe block", "", engine.Forkchoice{Head: head, Safe: chain.Hash{1}}, engine.ErrUnknownBlock},
		{"an unknown finalized block", "", engine.Forkchoice{Head: head, Finalized: chain.Hash{1}}, engine.ErrUnknownBlock},
		{"a safe block elsewhere", `"error":{"code":-38002,"message":"not canonical"}`, engine.Forkchoice{Head: head, Safe: g.Hash()}, engine.ErrUnknownBlock},
		{"a fork that the client sees elsewhere", `"error":{"code":-38005,"message":"no"}`, engine.Forkchoice{Head: head}, engine.ErrUnsupportedFork},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := tc.answer
			if answer == "" {
				answer = `"result":{"payloadStatus":{"status":"VALID"},"payloadId":null}`
			}
			f.set("engine_forkchoiceUpdatedV2", answer)
			if err := ask(tc.fc); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestKnownBlockWithoutState: a killed client knows a block and cannot execute its child until a forkchoice to the block,
// which geth ignores while it lists the block as canonical.
func TestKnownBlockWithoutState(t *testing.T) {
	for name, listed := range map[string]bool{"not canonical": false, "still listed as canonical": true} {
		t.Run(name, func(t *testing.T) {
			g := genesisOf(t, execution.Shanghai)
			f := serve(t, g)
			first, aside, second := f.at(genesisTime+2), f.at(genesisTime+1), f.at(genesisTime+4)
			f.at(genesisTime)
			run := []chain.ExecutionData{payloadAt(g, first.Time), payloadAt(g, second.Time)}
			run[0].Payload.BlockHash, run[1].Payload.BlockHash = chain.Hash(first.Hash()), chain.Hash(second.Hash())
			run[1].Payload.ParentHash, run[1].Payload.Number = run[0].Payload.BlockHash, 2
			f.set("engine_getPayloadV2", strings.Replace(built(f.genesis.Hash(), aside.Time), `"blockHash":"`+chain.Hash{}.String(), `"blockHash":"`+aside.Hash().Hex(), 1))
			restored := false
			f.hook = func(c call) (string, bool) {
				names := func(h *types.Header) bool { return strings.Contains(string(c.Params[0]), h.Hash().Hex()) }
				switch {
				case c.Method == "eth_getBlockByHash":
					for _, h := range []*types.Header{first, aside, second} {
						if js, err := json.Marshal(h); err == nil && names(h) {
							return `"result":` + string(js), true
						}
					}
				case strings.HasPrefix(c.Method, "engine_forkchoiceUpdated"):
					for _, h := range []*types.Header{aside, second} {
						if names(h) {
							f.head, listed = h, false
						}
					}
					if names(first) && !listed {
						f.head, restored = first, true
					}
				case strings.HasPrefix(c.Method, "engine_newPayload") && strings.Contains(string(c.Params[0]), `"blockNumber":"0x2"`) &&
					strings.Contains(string(c.Params[0]), second.Hash().Hex()) && !restored:
					return `"result":{"status":"ACCEPTED"}`, true
				}
				return "", false
			}
			e := open(t, f, g)
			res, err := e.Import(t.Context(), engine.ImportRequest{Payloads: run})
			if err != nil || len(res.Statuses) != 2 || res.Statuses[1].Verdict != engine.Syncing || restored {
				t.Errorf("without a forkchoice: %+v, %v, and the head was moved: %t", res.Statuses, err, restored)
			}
			head := run[1].Payload.BlockHash
			res, err = e.Import(t.Context(), engine.ImportRequest{Payloads: run, Forkchoice: &engine.Forkchoice{Head: head}})
			if err != nil || len(res.Statuses) != 2 || res.Statuses[1].Verdict != engine.Valid || res.Heads.Head.Hash != head {
				t.Errorf("with a forkchoice: %+v, %v", res, err)
			}
		})
	}
}

// TestPayloadThatWasNotOrdered is refused before anybody sees it.
func TestPayloadThatWasNotOrdered(t *testing.T) {
	g := genesisOf(t, execution.Shanghai)
	parent := g.Spec().ToBlock().Hash()
	good := built(parent, genesisTime+2)
	for name, tc := range map[string]struct {
		answer string
		want   error // nil: it is taken
	}{
		"as ordered":        {good, nil},
		"for another slot":  {built(parent, genesisTime+4), engine.ErrUnavailable},
		"another gas limit": {strings.Replace(good, "0x1c9c380", "0x1ca0000", 1), external.ErrGasLimit},
		"fees elsewhere":    {strings.Replace(good, `"feeRecipient":"0x00`, `"feeRecipient":"0x11`, 1), engine.ErrUnavailable},
		"more withdrawals": {
			strings.Replace(good, `"withdrawals":[]`, `"withdrawals":[{"index":"0x0","validatorIndex":"0x0","address":"0x0000000000000000000000000000000000000000","amount":"0x1"}]`, 1),
			engine.ErrUnavailable,
		},
		"nothing":   {`"result":null`, engine.ErrUnavailable},
		"forgotten": {`"error":{"code":-38001,"message":"unknown payload"}`, engine.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, g)
			f.set("engine_getPayloadV2", tc.answer)
			e := open(t, f, g)
			_, err := e.Build(t.Context(), engine.BuildRequest{
				Parent: g.Hash(), Timestamp: genesisTime + 2, GasLimit: 30_000_000, AnswerBy: 1, Withdrawals: []chain.Withdrawal{},
			})
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestWithoutPublicRPC: nothing but reading the pool needs it.
func TestWithoutPublicRPC(t *testing.T) {
	g := genesisOf(t, execution.Prague)
	e := open(t, serve(t, g), g)
	if _, err := e.PendingTransactions(t.Context(), 1); !errors.Is(err, lifecycle.ErrUnsupported) {
		t.Errorf("pending: %v", err)
	}
	s, err := e.Status(t.Context())
	if err != nil || s.WalletRPC != "" || s.ClientVersion != "fake/1" || s.Genesis != g.Hash() {
		t.Errorf("status %+v, %v", s, err)
	}
	if h := e.Health(); h.State != lifecycle.Ready {
		t.Errorf("health %+v", h)
	}
}

// TestBadData is what a client must not be believed.
func TestBadData(t *testing.T) {
	g := genesisOf(t, execution.Prague)
	f := serve(t, g)
	e := open(t, f, g)
	head := chain.Hash(f.at(genesisTime + 2).Hash())
	f.set("eth_getBlockReceipts", `"result":[null]`)
	if _, err := e.Receipts(t.Context(), head); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("a null receipt: %v", err)
	}
	f.set("eth_getBlockReceipts", `"error":{"code":-32000,"message":"header not found"}`)
	if _, err := e.Receipts(t.Context(), chain.Hash{1}); !errors.Is(err, engine.ErrUnknownBlock) {
		t.Errorf("receipts of an unknown block: %v", err)
	}
	f.set("engine_getPayloadBodiesByHashV1", `"result":[{"transactions":["0xff"],"withdrawals":[]}]`)
	if _, err := e.Payloads(t.Context(), []chain.Hash{head}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("a body that does not decode: %v", err)
	}
	f.set("engine_getPayloadBodiesByHashV1", `"result":[{"transactions":[],"withdrawals":[{"index":"0x0","validatorIndex":"0x0","address":"0x0000000000000000000000000000000000000000","amount":"0x1"}]}]`)
	if _, err := e.Payloads(t.Context(), []chain.Hash{head}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("another block's body: %v", err)
	}
	if _, err := e.Import(t.Context(), engine.ImportRequest{Payloads: make([]chain.ExecutionData, external.MaxRun+1)}); err == nil {
		t.Error("a run that a client cannot keep was taken")
	}
}
