package external_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/external"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

// TestEveryCallByFork has each call of an engine before, at and after each fork: which methods go over the wire, or the
// refusal. Shanghai is at genesis on every chain; a payload before it has the genesis' own time and is never asked for.
func TestEveryCallByFork(t *testing.T) {
	type want struct{ payload, forkchoice, build []string } // nil: refused, and nothing is sent
	v2 := want{[]string{"engine_newPayloadV2"}, []string{"engine_forkchoiceUpdatedV2"}, []string{"engine_forkchoiceUpdatedV2", "engine_getPayloadV2"}}
	v3 := want{[]string{"engine_newPayloadV3"}, []string{"engine_forkchoiceUpdatedV3"}, []string{"engine_forkchoiceUpdatedV3", "engine_getPayloadV3"}}
	v4 := want{[]string{"engine_newPayloadV4"}, []string{"engine_forkchoiceUpdatedV3"}, []string{"engine_forkchoiceUpdatedV3", "engine_getPayloadV4"}}
	for _, tc := range []struct {
		when   string
		at     uint64
		v4, v5 want
	}{
		{"after Shanghai", genesisTime + 1, v2, v2},
		{"before Cancun", cancunTime - 1, v2, v2},
		{"at Cancun", cancunTime, want{}, v3},
		{"after Cancun", cancunTime + 1, want{}, v3},
		{"before Prague", pragueTime - 1, want{}, v3},
		{"at Prague", pragueTime, want{}, v4},
		{"after Prague", pragueTime + 1, want{}, v4},
		{"at Osaka", genesisTime + 300, want{}, want{}},
		{"after Osaka", genesisTime + 301, want{}, want{}},
	} {
		for _, v := range []struct {
			name string
			last execution.Fork
			want want
		}{{"v4", execution.Shanghai, tc.v4}, {"v5", execution.Prague, tc.v5}} {
			t.Run(v.name+" "+tc.when, func(t *testing.T) {
				g := genesisOf(t, v.last)
				f := serve(t, g)
				e := open(t, f, g)
				f.engineCalls()
				check := func(what string, want []string, err error) {
					t.Helper()
					if want == nil {
						wantRefused(t, what, err, tc.at, g)
					} else if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					if diff := cmp.Diff(want, f.engineCalls(), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%s went as (-want +got):\n%s", what, diff)
					}
				}
				_, err := e.Import(t.Context(), engine.ImportRequest{Payloads: []chain.ExecutionData{payloadAt(g, tc.at)}})
				check("import", v.want.payload, err)

				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				r := engine.BuildRequest{Parent: g.Hash(), Timestamp: tc.at, AnswerBy: chain.UnixMilli(time.Now().UnixMilli())}
				if g.Cancun(tc.at) {
					r.ParentBeaconRoot = &chain.Hash{1}
				}
				for _, version := range []string{"2", "3", "4"} {
					f.set("engine_getPayloadV"+version, built(f.genesis.Hash(), tc.at))
				}
				_, err = e.Build(ctx, r)
				check("build", v.want.build, err)

				if v.want.forkchoice == nil {
					return // no block of this time is ever here: there is no head to set
				}
				head := chain.Hash(f.at(tc.at).Hash())
				_, err = e.Import(t.Context(), engine.ImportRequest{Forkchoice: &engine.Forkchoice{Head: head}})
				check("forkchoice", v.want.forkchoice, err)
			})
		}
	}
}

// payloadAt is a payload with the fields of its fork.
func payloadAt(g *execution.Genesis, at uint64) chain.ExecutionData {
	zero := uint64(0)
	d := chain.ExecutionData{Payload: chain.Payload{ParentHash: g.Hash(), Number: 1, Timestamp: at, BlockHash: chain.Hash{9}}}
	if g.Cancun(at) {
		d.Payload.BlobGasUsed, d.Payload.ExcessBlobGas, d.ParentBeaconRoot = &zero, &zero, &chain.Hash{1}
	}
	if g.Prague(at) {
		d.Requests = [][]byte{}
	}
	return d
}

// wantRefused wants the refusal to name timestamp, fork and horizon.
func wantRefused(t *testing.T, what string, err error, at uint64, g *execution.Genesis) {
	t.Helper()
	if !errors.Is(err, engine.ErrUnsupportedFork) {
		t.Fatalf("%s: got %v, want a refusal", what, err)
	}
	fork := "osaka"
	switch {
	case at < pragueTime:
		fork = "cancun"
	case at < genesisTime+300:
		fork = "prague"
	}
	for _, word := range []string{fmt.Sprint("timestamp ", at), "in " + fork, fmt.Sprint("horizon is ", *g.Horizon())} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the refusal does not say %q: %v", what, word, err)
		}
	}
}

// TestClientWithoutTheMethods is refused, by name of what is missing; v4 does not ask for what it never calls.
func TestClientWithoutTheMethods(t *testing.T) {
	old := `"result":["engine_newPayloadV2","engine_forkchoiceUpdatedV2","engine_getPayloadV2","engine_getPayloadBodiesByHashV1"]`
	for last, missing := range map[execution.Fork]string{execution.Shanghai: "", execution.Prague: "engine_newPayloadV3"} {
		g := genesisOf(t, last)
		f := serve(t, g)
		f.set("engine_exchangeCapabilities", old)
		f.set("engine_getClientVersionV1", `"error":{"code":-32601,"message":"no"}`)
		e, err := tryOpen(t, f, g)
		if missing == "" {
			if err != nil {
				t.Errorf("an old client for %s: %v", last, err)
				continue
			}
			if s, err := e.Status(t.Context()); err != nil || s.ClientVersion == "" {
				t.Errorf("status %+v, %v", s, err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, external.ErrMissing) || !strings.Contains(err.Error(), missing) {
			t.Errorf("an old client for %s: %v", last, err)
		}
	}
}

// TestForkScheduleOfTheClient holds what a client says of its forks against the chain's, wherever its head or its clock is.
func TestForkScheduleOfTheClient(t *testing.T) {
	const past = cancunTime
	future := uint64(time.Now().Add(24 * time.Hour).Unix())
	cancun := uint64(past)
	g, err := execution.ParseGenesis(enginetest.GenesisJSON(enginetest.Spec{
		Timestamp: genesisTime, Cancun: &cancun, Prague: &future,
	}), execution.Prague)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name                string
		current, next, last uint64 // 0 for next and last: none
		want                error
	}{
		{name: "head at genesis, behind a fork that has passed", next: past, last: future},
		{name: "head or clock behind the first fork", current: past, next: future, last: future},
		{name: "head behind every fork", current: future},
		{name: "the passed fork is missing", next: future, last: future, want: external.ErrOtherForks},
		{name: "the fork to come is missing", current: past, want: external.ErrOtherForks},
		{name: "no fork at all", want: external.ErrOtherForks},
		{name: "the fork to come is at another time", current: past, next: future + 1, last: future + 1, want: external.ErrOtherForks},
		{name: "a fork more at the end", next: past, last: future + 1, want: external.ErrOtherForks},
		{name: "another current fork", current: past + 1, next: future, last: future, want: external.ErrOtherForks},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fork := func(at uint64) string {
				if at == 0 {
					return "null"
				}
				return fmt.Sprintf(`{"activationTime":%d}`, at)
			}
			f := serve(t, g)
			f.set("eth_config", fmt.Sprintf(`"result":{"current":{"activationTime":%d},"next":%s,"last":%s}`, tc.current, fork(tc.next), fork(tc.last)))
			e, err := tryOpen(t, f, g)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if err == nil {
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
