package spec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
)

// changed is the development chain's file with some values replaced; a path is a list of keys and indexes.
func changed(t *testing.T, s *spec.Spec, edits ...edit) []byte {
	t.Helper()
	var root any
	if err := json.Unmarshal(s.Encode(), &root); err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		at := root
		for _, k := range e.path[:len(e.path)-1] {
			switch k := k.(type) {
			case string:
				at = at.(map[string]any)[k]
			case int:
				at = at.([]any)[k]
			}
		}
		switch k := e.path[len(e.path)-1].(type) {
		case string:
			m := at.(map[string]any)
			if e.value == nil {
				delete(m, k)
				continue
			}
			m[k] = e.value
		case int:
			at.([]any)[k] = e.value
		}
	}
	out, err := json.MarshalIndent(root, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type edit struct {
	path  []any
	value any // nil deletes
}

func set(value any, path ...any) edit { return edit{path: path, value: value} }

func parse(t *testing.T, data []byte) *spec.Spec {
	t.Helper()
	s, err := spec.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEncodedSpecReadsBackAsTheSameChain(t *testing.T) {
	for _, s := range []*spec.Spec{spec.Dev(), spec.DevNodes(4), spec.DevPrague(3)} {
		again := parse(t, s.Encode())
		if diff := cmp.Diff(string(s.Encode()), string(again.Encode())); diff != "" {
			t.Errorf("%s: second encoding differs:\n%s", s.Name, diff)
		}
		if ref(t, s) != ref(t, again) {
			t.Errorf("%s: another genesis after reading back", s.Name)
		}
	}
}

func ref(t *testing.T, s *spec.Spec) chain.Ref {
	t.Helper()
	g, err := s.Genesis()
	if err != nil {
		t.Fatal(err)
	}
	return g.Ref()
}

// The development chain's genesis never changes by accident: data folders depend on it.
func TestDevGenesisIsFixed(t *testing.T) {
	for _, c := range []struct {
		spec *spec.Spec
		want string
	}{
		{spec.Dev(), devGenesis},
		{spec.DevNodes(3), dev3Genesis},
		{spec.DevPrague(1), devPragueGenesis},
	} {
		if got := ref(t, c.spec).Hash.String(); got != c.want {
			t.Errorf("genesis of %s = %s, want %s", c.spec.Name, got, c.want)
		}
	}
}

func TestGenesisBlockIsTheExecutionGenesis(t *testing.T) {
	for _, s := range []*spec.Spec{spec.Dev(), spec.DevPrague(1)} {
		var g core.Genesis
		if err := json.Unmarshal(s.GenesisJSON(), &g); err != nil {
			t.Fatal(err)
		}
		want := g.ToBlock()
		b, err := s.Genesis()
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Header.PayloadHash; got != chain.Hash(want.Hash()) {
			t.Errorf("payload hash = %s, want %s", got, want.Hash())
		}
		if b.Header.Parent != s.Identity() {
			t.Error("the header does not carry the spec's identity")
		}
		if err := b.CheckSeal(); err != nil {
			t.Error(err)
		}
	}
}

func TestDevChainIsAsDocumented(t *testing.T) {
	s := spec.Dev()
	if s.ChainID != 121212 || s.SlotDuration(1) != 2*time.Second || !s.Dev || len(s.Set(0).Keys) != 1 {
		t.Errorf("dev chain: id %d, slots of %s, dev %v, %d authorities", s.ChainID, s.SlotDuration(1), s.Dev, len(s.Set(0).Keys))
	}
	k, err := bls.ParseSecretKey(spec.DevSecret(0))
	if err != nil {
		t.Fatal(err)
	}
	if s.Set(0).Keys[0] != k.Public() {
		t.Error("the authority is not secret 1")
	}
	// v1's vectors: fee addresses and Bitcoin keys of secrets 1, 2 and 3.
	set := spec.DevNodes(3).Set(0)
	wantFees := []string{
		"0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf",
		"0x6813eb9362372eef6200f3b1dbc3f819671cba69",
	}
	for i, want := range wantFees {
		if got := set.Fees[i].String(); got != want {
			t.Errorf("fee address %d = %s, want %s", i, got, want)
		}
	}
	if got, want := set.BitcoinKeys[2].String(), "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"; got != want {
		t.Errorf("Bitcoin key 3 = %s, want %s", got, want)
	}
}

// What is added to a schedule later does not make another chain; what is fixed does.
func TestIdentityCoversTheFixedPartOnly(t *testing.T) {
	dev := spec.Dev()
	same := changed(t, dev, set("renamed", "name"), set([]any{
		map[string]any{"from_slot": 0, "ms": 2000}, map[string]any{"from_slot": 2_000_000_000, "ms": 1500},
	}, "slots"))
	if ref(t, parse(t, same)) != ref(t, dev) {
		t.Error("a later slot length makes another chain")
	}
	for name, e := range map[string]edit{
		"aux chain id":   set(5, "aux_chain_id"),
		"slot length":    set(3000, "slots", 0, "ms"),
		"turn":           set(3, "turn"),
		"bits":           set(0x1f00ffff, "pow", "bits"),
		"peg":            set(5, "peg", "confirmations"),
		"no peg":         set(nil, "peg"),
		"fee address":    set("0x00000000000000000000000000000000000000aa", "authorities", 0, "federation", "fee_addresses", 0),
		"EL genesis":     set("0x63a1e048", "execution_genesis", "timestamp"),
		"governance":     set(nil, "governance"),
		"max blocks":     set(60_000, "max_blocks_without_pow"),
		"margin":         set(21, "margin"),
		"gas limit":      set(40_000_000, "gas_limit"),
		"no development": set(false, "dev"),
	} {
		s, err := spec.Parse(changed(t, dev, e))
		if name == "no development" {
			if err == nil {
				t.Error("a funded account is taken outside of a development chain")
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ref(t, s) == ref(t, dev) {
			t.Errorf("%s: the same genesis", name)
		}
	}
}

func TestAllProblemsAreListedWithLineAndPath(t *testing.T) {
	text := strings.Replace(string(changed(t, spec.Dev(),
		set(0x2345, "aux_chain_id"), set("x", "turn"), set(nil, "margin"), set(1, "tunr"),
	)), `"name": "dev"`, `"name": "dev", "name": "again"`, 1)
	_, err := spec.Parse([]byte(text))
	var invalid *spec.InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, spec.ErrInvalid) {
		t.Fatalf("error is %v", err)
	}
	got := map[string]int{}
	for _, p := range invalid.Problems {
		got[p.Path] = p.Line
	}
	for _, want := range []string{"turn", "margin", "tunr", "name"} {
		line, ok := got[want]
		if !ok {
			t.Errorf("no problem at %s in:\n%v", want, err)
		}
		if key := strings.Split(text, "\n")[line-1]; want != "margin" && !strings.Contains(key, want) {
			t.Errorf("%s: line %d is %q", want, line, key)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	dev := spec.DevNodes(2)
	genesis := func(value any, path ...any) edit { return set(value, append([]any{"execution_genesis"}, path...)...) }
	cases := []struct {
		name string
		edit edit
		path string // of the problem
	}{
		{"an aux chain id that version rolling uses", set(0x3fff, "aux_chain_id"), "aux_chain_id"},
		{"an aux chain id equal to the EVM's", set(121212, "aux_chain_id"), "aux_chain_id"},
		{"another EVM chain id than the execution genesis", set(5, "chain_id"), "execution_genesis.config.chainId"},
		{"slots under a second", set(999, "slots", 0, "ms"), "slots[0].ms"},
		{"slots without an entry from 0", set(1, "slots", 0, "from_slot"), "slots"},
		{"a turn of nothing", set(0, "turn"), "turn"},
		{"a negative number", set(-1, "margin"), "margin"},
		{"a fraction", set(1.5, "margin"), "margin"},
		{"a number in quotes", set("5", "margin"), "margin"},
		{"a set that does not begin at 0", set(1, "authorities", 0, "from_height"), "authorities"},
		{"no authorities", set([]any{}, "authorities", 0, "members"), "authorities[0].members"},
		{
			"a rogue key, without proof of possession",
			set("0x"+strings.Repeat("c0", 96), "authorities", 0, "members", 1, "possession"),
			"authorities[0].members[1].possession",
		},
		{
			"one key twice", set(spec.Dev().Set(0).Keys[0].String(), "authorities", 0, "members", 1, "key"),
			"authorities[0].members[1].key",
		},
		{"a threshold above the keys", set(3, "authorities", 0, "federation", "threshold"), "authorities[0].federation.threshold"},
		{"an unknown script", set("p2sh", "authorities", 0, "federation", "script"), "authorities[0].federation.script"},
		{
			"a Bitcoin key off the curve",
			set("02"+strings.Repeat("ff", 32), "authorities", 0, "federation", "bitcoin_keys", 0),
			"authorities[0].federation.bitcoin_keys[0]",
		},
		{"bits above the limit", set(0x1f7fffff, "pow", "easiest_bits"), "pow.bits"},
		{"bits that are no target", set(0x01800000, "pow", "bits"), "pow.bits"},
		{"a rate outside of its bounds", set(1, "peg", "rate_initial"), "peg.rate_initial"},
		{"a peg without its bridge", set("0x00000000000000000000000000000000000000aa", "peg", "bridge"), "execution_genesis.alloc.0x00000000000000000000000000000000000000aa"},
		{"no governance threshold", set(0, "governance", "threshold"), "governance.threshold"},
		{"Shanghai later", genesis(5, "config", "shanghaiTime"), "execution_genesis.config.shanghaiTime"},
		{"Osaka", genesis(9_999_999_999, "config", "osakaTime"), "execution_genesis.config.osakaTime"},
		{"a deposit contract", genesis("0x00000000219ab540356cBB839Cbe05303d7705Fa", "config", "depositContractAddress"), "execution_genesis.config.depositContractAddress"},
		{"the DAO fork", genesis(5, "config", "daoForkBlock"), "execution_genesis.config.daoForkBlock"},
		{"Prague without Cancun", genesis(9, "config", "pragueTime"), "execution_genesis.config.pragueTime"},
		{"blobs", genesis(6, "config", "blobSchedule", "cancun", "max"), "execution_genesis.config.blobSchedule.cancun"},
		{"a fork with a typo", genesis(9, "config", "pargueTime"), "execution_genesis.config.pargueTime"},
		{"an unknown genesis key", genesis(9, "networkId"), "execution_genesis.networkId"},
		{"a mined genesis", genesis("0x20000", "difficulty"), "execution_genesis.difficulty"},
		{"a London fork later", genesis(7, "config", "londonBlock"), "execution_genesis.config.londonBlock"},
		{
			"no beacon roots contract", genesis(nil, "alloc", "000f3df6d732807ef1319fb7b8bb8522d0beac02"),
			"execution_genesis.alloc.0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02",
		},
		{"no alloc", genesis(nil, "alloc"), "execution_genesis"},
		{"a genesis in the year 3000", genesis("0x7900000000", "timestamp"), "execution_genesis.timestamp"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			refused(t, changed(t, dev, c.edit), c.path)
		})
	}
}

func refused(t *testing.T, data []byte, path string) {
	t.Helper()
	_, err := spec.Parse(data)
	var invalid *spec.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("error is %v", err)
	}
	for _, p := range invalid.Problems {
		if strings.EqualFold(p.Path, path) {
			return
		}
	}
	t.Errorf("no problem at %s in:\n%v", path, err)
}

func TestParseRefusesBrokenFiles(t *testing.T) {
	good := string(spec.Dev().Encode())
	for name, text := range map[string]string{
		"nothing":                "",
		"half a file":            good[:len(good)/2],
		"two specs":              good + good,
		"an array":               "[]",
		"deep nesting":           strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"null":                   "null",
		"a trailing comma":       strings.Replace(good, "\n}\n", ",\n}\n", 1),
		"bytes that are no text": "\xff\xfe{}",
	} {
		if _, err := spec.Parse([]byte(text)); !errors.Is(err, spec.ErrInvalid) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// Outside of a development chain money needs bitcoin behind it, and a stall limit must survive bad luck.
func TestRulesOutsideOfDevelopmentChains(t *testing.T) {
	real := []edit{
		set(false, "dev"), set(nil, "execution_genesis", "alloc", strings.TrimPrefix(spec.DevAccount, "0x")),
	}
	s := parse(t, changed(t, spec.DevNodes(3), real...))
	if s.Dev {
		t.Fatal("still a development chain")
	}
	refused(t, changed(t, spec.Dev(), set(false, "dev")), "execution_genesis.alloc."+spec.DevAccount)
	// 20 × 60 s in slots of 2 s are 600 blocks.
	parse(t, changed(t, spec.Dev(), append(real, set(600, "max_blocks_without_pow"))...))
	refused(t, changed(t, spec.Dev(), append(real, set(599, "max_blocks_without_pow"))...), "max_blocks_without_pow")
	// The shortest slot of the schedule counts.
	refused(t, changed(t, spec.Dev(), append(real, set(600, "max_blocks_without_pow"), set([]any{
		map[string]any{"from_slot": 0, "ms": 2000}, map[string]any{"from_slot": 5_000_000_000, "ms": 1000},
	}, "slots"))...), "max_blocks_without_pow")
}

// O-19 and O-11: sets are a schedule by height; nothing in code knows a height.
func TestO11AuthoritySetsAreAScheduleByHeight(t *testing.T) {
	one, four := spec.Dev(), spec.DevNodes(4)
	var oneFile, fourFile map[string]any
	for s, into := range map[*spec.Spec]*map[string]any{one: &oneFile, four: &fourFile} {
		if err := json.Unmarshal(s.Encode(), into); err != nil {
			t.Fatal(err)
		}
	}
	second := fourFile["authorities"].([]any)[0].(map[string]any)
	second["from_height"] = 100
	data := changed(t, one, set([]any{oneFile["authorities"].([]any)[0], second}, "authorities"))
	s := parse(t, data)
	for h, want := range map[chain.Height]int{0: 1, 99: 1, 100: 4, 1 << 40: 4} {
		if got := len(s.Set(h).Keys); got != want {
			t.Errorf("%d authorities at height %d, want %d", got, h, want)
		}
		if got, _ := s.Agreement().Set(h); len(got.Keys) != want {
			t.Errorf("consensus sees %d authorities at height %d, want %d", len(got.Keys), h, want)
		}
	}
	if got := s.Set(100).Quorum(); got != 3 {
		t.Errorf("quorum of 4 = %d, want 3", got)
	}
	if ref(t, s) != ref(t, one) {
		t.Error("a later set makes another chain")
	}
	second["from_height"] = 0
	refused(t, changed(t, one, set([]any{oneFile["authorities"].([]any)[0], second}, "authorities")), "authorities[1].from_height")
}

// O-19: a changed constant is an entry of the file, with the slot from which it holds, never an exception.
func TestO19ChangesAreScheduledInTheSpec(t *testing.T) {
	for _, from := range []int{0, 10} {
		refused(t, changed(t, spec.Dev(), set([]any{
			map[string]any{"from_slot": 0, "ms": 2000},
			map[string]any{"from_slot": 10, "ms": 1500},
			map[string]any{"from_slot": from, "ms": 1800},
		}, "slots")), "slots[2].from_slot")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(spec.Dev().Encode())
	f.Add([]byte(`{"name":"x","slots":[{"from_slot":0,"ms":1000}],"authorities":[{}],"execution_genesis":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := spec.Parse(data)
		if err != nil {
			if !errors.Is(err, spec.ErrInvalid) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if _, err := s.Genesis(); err != nil {
			t.Fatal(err)
		}
		if _, err := spec.Parse(s.Encode()); err != nil {
			t.Fatalf("own encoding is refused: %v", err)
		}
	})
}
