package external_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/external"
	"github.com/alys-node/alys/sdk/enginetest"
)

const (
	genesisTime = 1_700_000_000
	cancunTime  = genesisTime + 100
	pragueTime  = genesisTime + 200
)

func genesisOf(t *testing.T, last execution.Fork) *execution.Genesis {
	t.Helper()
	cancun, prague, osaka := uint64(cancunTime), uint64(pragueTime), uint64(genesisTime+300)
	g, err := execution.ParseGenesis(enginetest.GenesisJSON(enginetest.Spec{
		Timestamp: genesisTime, Cancun: &cancun, Prague: &prague, Osaka: &osaka,
	}), last)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fake is a client that knows its genesis and a head, and answers everything else as scripted. What is under "method" of
// script is its whole answer: `"result":…` or `"error":…`.
type fake struct {
	*httptest.Server
	mu      sync.Mutex // guards the rest
	genesis *types.Header
	head    *types.Header
	script  map[string]string
	called  []string
	hook    func(c call) (answer string, ok bool) // asked first; nil: nothing is
}

func serve(t *testing.T, g *execution.Genesis) *fake {
	t.Helper()
	h := g.Spec().ToBlock().Header()
	f := &fake{genesis: h, head: h, script: map[string]string{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) set(method, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script[method] = answer
}

// engineCalls are the calls of the Engine API since the last look, without the exchange of capabilities and versions.
func (f *fake) engineCalls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.DeleteFunc(f.called, func(m string) bool { return !strings.HasPrefix(m, "engine_") })
	f.called = nil
	return out
}

type call struct {
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	ID     json.RawMessage   `json:"id"`
}

// ServeHTTP answers single calls and batches.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	var many []call
	if json.Unmarshal(body, &many) == nil {
		parts := make([]string, len(many))
		for i, c := range many {
			parts[i] = f.answer(c)
		}
		_, _ = io.WriteString(w, "["+strings.Join(parts, ",")+"]")
		return
	}
	var c call
	if json.Unmarshal(body, &c) == nil {
		_, _ = io.WriteString(w, f.answer(c))
	}
}

func (f *fake) answer(c call) string {
	f.called = append(f.called, c.Method)
	text, scripted := f.script[c.Method]
	if f.hook != nil {
		if answer, ok := f.hook(c); ok {
			text, scripted = answer, true
		}
	}
	if !scripted {
		text = `"result":` + f.result(c)
	}
	return `{"jsonrpc":"2.0","id":` + string(c.ID) + `,` + text + `}`
}

func (f *fake) result(c call) string {
	block := func(h *types.Header) string {
		js, err := json.Marshal(h)
		if err != nil {
			panic(err)
		}
		return string(js)
	}
	switch {
	case c.Method == "eth_chainId":
		return `"0x1d97c"`
	case c.Method == "eth_syncing":
		return "false"
	case c.Method == "eth_getBlockByNumber" && string(c.Params[0]) == `"0x0"`:
		return block(f.genesis)
	case c.Method == "eth_getBlockByNumber" && string(c.Params[0]) == `"latest"`:
		return block(f.head)
	case c.Method == "eth_getBlockByHash":
		for _, h := range []*types.Header{f.genesis, f.head} {
			if string(c.Params[0]) == `"`+h.Hash().Hex()+`"` {
				return block(h)
			}
		}
	case c.Method == "engine_exchangeCapabilities":
		return string(c.Params[0]) // it has what it is asked for
	case c.Method == "engine_getClientVersionV1":
		return `[{"code":"FK","name":"fake","version":"1","commit":"00000000"}]`
	case strings.HasPrefix(c.Method, "engine_newPayload"):
		return `{"status":"VALID"}`
	case strings.HasPrefix(c.Method, "engine_forkchoiceUpdated"):
		return `{"payloadStatus":{"status":"VALID"},"payloadId":"0x0102030405060708"}`
	}
	return "null"
}

// open runs an engine on a fake client.
func open(t *testing.T, f *fake, g *execution.Genesis) *external.Engine {
	t.Helper()
	e, err := tryOpen(t, f, g)
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

func tryOpen(t *testing.T, f *fake, g *execution.Genesis) (*external.Engine, error) {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "jwt.hex")
	if err := os.WriteFile(secret, []byte(strings.Repeat("42", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	return external.Open(t.Context(), external.Config{Genesis: g, Endpoint: f.URL, Secret: secret, DataDir: dir}, hclog.NewNullLogger())
}

// at makes a header at a time the fake's head.
func (f *fake) at(timestamp uint64) *types.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := types.CopyHeader(f.genesis)
	h.Number, h.ParentHash, h.Time = big.NewInt(1), f.genesis.Hash(), timestamp
	if timestamp == genesisTime {
		h = f.genesis
	}
	f.head = h
	return h
}

// built is a scripted answer of engine_getPayload for a block on parent.
func built(parent common.Hash, timestamp uint64) string {
	zero := common.Hash{}.Hex()
	return fmt.Sprintf(`"result":{"executionPayload":{"parentHash":%q,"feeRecipient":%q,"stateRoot":%q,"receiptsRoot":%q,"logsBloom":"0x%s",`+
		`"prevRandao":%q,"blockNumber":"0x2","gasLimit":"0x1c9c380","gasUsed":"0x0","timestamp":"0x%x","extraData":"0x","baseFeePerGas":"0x7",`+
		`"blockHash":%q,"transactions":[],"withdrawals":[]},"blockValue":"0x0","executionRequests":[]}`,
		parent.Hex(), common.Address{}.Hex(), zero, zero, strings.Repeat("00", 256), zero, timestamp, zero)
}
