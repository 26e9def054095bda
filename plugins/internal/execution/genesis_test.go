package execution_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

const genesisTime = 1_700_000_000

type fork struct{ cancun, prague uint64 } // seconds after genesis; 0: never

// genesisJSON is a genesis like the chain spec's, changed.
func genesisJSON(f fork, change ...func(top, config map[string]any)) []byte {
	spec := enginetest.Spec{Timestamp: genesisTime}
	if at := genesisTime + f.cancun; f.cancun != 0 {
		spec.Cancun = &at
	}
	if at := genesisTime + f.prague; f.prague != 0 {
		spec.Prague = &at
	}
	var top map[string]any
	if err := json.Unmarshal(enginetest.GenesisJSON(spec), &top); err != nil {
		panic(err)
	}
	config, _ := top["config"].(map[string]any)
	for _, c := range change {
		c(top, config)
	}
	js, err := json.Marshal(top)
	if err != nil {
		panic(err)
	}
	return js
}

func TestParseGenesis(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fork   fork
		change func(top, config map[string]any)
		last   execution.Fork // of the engine; empty: Prague
		want   string         // part of the message; empty: accepted
	}{
		{name: "Shanghai only"},
		{name: "all forks to Prague, no blobs", fork: fork{cancun: 60, prague: 120}},
		{name: "a blob schedule before its fork", fork: fork{}},
		{
			name: "no chain id", want: "chainId",
			change: func(_, c map[string]any) { delete(c, "chainId") },
		},
		{
			name: "no terminal total difficulty", want: "terminalTotalDifficulty",
			change: func(_, c map[string]any) { delete(c, "terminalTotalDifficulty") },
		},
		{
			name: "a merge after genesis", want: "terminalTotalDifficulty",
			change: func(top, c map[string]any) { top["difficulty"], c["terminalTotalDifficulty"] = "0x1", 2 },
		},
		{
			name:   "a genesis that is the merge block",
			change: func(top, c map[string]any) { top["difficulty"], c["terminalTotalDifficulty"] = "0x2", 2 },
		},
		{name: "Cancun to come, for an engine to Shanghai", fork: fork{cancun: 60, prague: 120}, last: execution.Shanghai},
		{
			name: "Cancun at genesis, for an engine to Shanghai", last: execution.Shanghai, want: "cancun is active at genesis, and this engine goes to shanghai",
			change: func(_, c map[string]any) { c["cancunTime"] = 0 },
		},
		{
			name: "Shanghai after genesis", want: "shanghaiTime",
			change: func(_, c map[string]any) { c["shanghaiTime"] = genesisTime + 1 },
		},
		{
			name: "a fork after Prague at genesis", want: "bogota is active at genesis",
			change: func(_, c map[string]any) { c["bogotaTime"] = 0 },
		},
		{name: "Prague without Cancun", fork: fork{prague: 120}, want: "without config.cancunTime"},
		{
			name: "Cancun without a blob schedule", fork: fork{cancun: 60}, want: "blobSchedule",
			change: func(_, c map[string]any) { delete(c, "blobSchedule") },
		},
		{
			name: "Prague without system contracts", fork: fork{cancun: 60, prague: 120}, want: "EIP-7002",
			change: func(top, _ map[string]any) { top["alloc"] = map[string]any{} },
		},
		{
			name: "no config", want: "no config",
			change: func(top, _ map[string]any) { delete(top, "config") },
		},
		{
			name: "no gas limit", want: "gasLimit",
			change: func(top, _ map[string]any) { delete(top, "gasLimit") },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			change := tc.change
			if change == nil {
				change = func(_, _ map[string]any) {}
			}
			_, err := execution.ParseGenesis(genesisJSON(tc.fork, change), cmp.Or(tc.last, execution.Prague))
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, execution.ErrGenesis) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an ErrGenesis about %q", err, tc.want)
			}
		})
	}
}

func FuzzParseGenesis(f *testing.F) {
	f.Add(genesisJSON(fork{cancun: 60, prague: 120}))
	f.Add([]byte(`{"config":{"chainId":1},"alloc":{},"gasLimit":"0x1","difficulty":"0x0"}`))
	f.Fuzz(func(t *testing.T, js []byte) {
		if g, err := execution.ParseGenesis(js, execution.Prague); err == nil && g.ChainID() == 0 {
			t.Fatal("a genesis without a chain id was accepted")
		}
	})
}

// TestScheduleOfAnEngine has what an engine to each fork says of one schedule.
func TestScheduleOfAnEngine(t *testing.T) {
	js := genesisJSON(fork{cancun: 60, prague: 120})
	for _, tc := range []struct {
		last    execution.Fork
		horizon uint64 // seconds after genesis; 0: none
	}{{execution.Shanghai, 60}, {execution.Cancun, 120}, {execution.Prague, 0}} {
		g, err := execution.ParseGenesis(js, tc.last)
		if err != nil {
			t.Fatal(err)
		}
		if h := g.Horizon(); (h == nil) != (tc.horizon == 0) || h != nil && *h != genesisTime+tc.horizon {
			t.Errorf("to %s the horizon is %v", tc.last, h)
		}
		for at, want := range map[uint64]execution.Fork{0: execution.Shanghai, 59: execution.Shanghai, 60: execution.Cancun, 119: execution.Cancun, 120: execution.Prague} {
			if got := g.ForkAt(genesisTime + at); got != want {
				t.Errorf("%d s after genesis is %s, want %s", at, got, want)
			}
			err := g.Executes(genesisTime + at)
			if beyond := tc.horizon != 0 && at >= tc.horizon; errors.Is(err, engine.ErrUnsupportedFork) != beyond {
				t.Errorf("to %s, %d s after genesis: %v", tc.last, at, err)
			}
		}
		if len(g.Forks()) != 3 {
			t.Errorf("forks %v", g.Forks())
		}
	}
}
