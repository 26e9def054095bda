package executortest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/gethtest"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/wire"
)

// publishedModule has go-ethereum's own engine calls: 600 payloads from Shanghai over Cancun (60 s) to Prague (120 s).
// The set of later versions goes on to forks that no engine here executes.
const (
	publishedModule = "github.com/ethereum/go-ethereum@v1.16.7"
	publishedFolder = "cmd/devp2p/internal/ethtest/testdata/"
)

// PublishedEmbedded replays go-ethereum's own engine calls on geth inside of the plugin.
func (s Subject) PublishedEmbedded(t *testing.T) {
	genesis := gethtest.ModuleFile(t, publishedModule, publishedFolder+"genesis.json")
	s.replay(t, s.start(t, []byte("{}"), genesis))
}

// PublishedExternal replays them on a real geth process.
func (s Subject) PublishedExternal(t *testing.T) {
	genesis := gethtest.ModuleFile(t, publishedModule, publishedFolder+"genesis.json")
	s.replay(t, s.start(t, gethtest.Start(t, gethtest.Options{Genesis: genesis}).ConfigJSON(), genesis))
}

// replay wants every payload VALID and the published head at the end, or, of an engine that goes to Shanghai, the first
// payload beyond refused in words.
func (s Subject) replay(t *testing.T, c *wire.Client) {
	payloads, head := published(t)
	d := drive(t, c.Engine())
	if d.tip.Hash != payloads[0].Payload.ParentHash {
		t.Fatalf("the engine is at %v, the first payload is on %s", d.tip, payloads[0].Payload.ParentHash)
	}
	if s.Variant.Last != execution.Shanghai {
		d.feed(payloads...)
		if d.tip != head {
			t.Errorf("head is %v, want %v", d.tip, head)
		}
		got, err := d.e.Payloads(t.Context(), []chain.Hash{payloads[12].Payload.BlockHash})
		if err != nil || len(got) != 1 || got[0] == nil || len(got[0].Requests) != 1 {
			t.Errorf("the payload with an execution request came back as %+v, %v", got, err)
		}
		return
	}
	horizon := *d.s.Horizon
	for i, p := range payloads {
		if p.Payload.Timestamp < horizon {
			d.feed(p)
			continue
		}
		_, err := d.e.Import(t.Context(), engine.ImportRequest{Payloads: payloads[i : i+1]})
		if !errors.Is(err, engine.ErrUnsupportedFork) {
			t.Fatalf("payload %d at %d, beyond %d: got %v", p.Payload.Number, p.Payload.Timestamp, horizon, err)
		}
		for _, word := range []string{"timestamp 60", "cancun", "horizon is 60", "goes to shanghai"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("the refusal does not say %q: %v", word, err)
			}
		}
		if now := drive(t, d.e).tip; i != 5 || now != d.tip {
			t.Errorf("after %d payloads the head is %v, want 5 and %v", i, now, d.tip)
		}
		return
	}
	t.Fatal("no payload is beyond the horizon")
}

// published reads the calls: payloads 1 to 600, and the head after them.
func published(t *testing.T) ([]chain.ExecutionData, chain.Ref) {
	t.Helper()
	var calls []struct {
		Method string
		Params []json.RawMessage
	}
	decode(t, gethtest.ModuleFile(t, publishedModule, publishedFolder+"newpayload.json"), &calls)
	var head struct{ Number, Hash string }
	decode(t, gethtest.ModuleFile(t, publishedModule, publishedFolder+"headblock.json"), &head)
	number, err := hexutil.DecodeUint64(head.Number)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]chain.ExecutionData, 0, len(calls))
	for i, call := range calls[1:] { // the first is the genesis block
		var x gethengine.ExecutableData
		decode(t, call.Params[0], &x)
		p, err := execution.Payload(&x)
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		d := chain.ExecutionData{Payload: p}
		if len(call.Params) > 2 {
			decode(t, call.Params[2], &d.ParentBeaconRoot)
		}
		if len(call.Params) > 3 {
			d.Requests = publishedRequests(t, call.Params[3])
		}
		out = append(out, d)
	}
	if len(out) != 600 {
		t.Fatalf("%d published payloads, want 600", len(out))
	}
	return out, chain.Ref{Height: chain.Height(number), Hash: chain.Hash(common.HexToHash(head.Hash))}
}

// publishedRequests reads execution requests, which the file has in base64 (its writer marshalled bytes).
func publishedRequests(t *testing.T, raw json.RawMessage) [][]byte {
	t.Helper()
	var texts []string
	decode(t, raw, &texts)
	out := [][]byte{}
	for _, text := range texts {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

func decode(t *testing.T, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}
