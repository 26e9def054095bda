package bls_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"testing"

	"github.com/alys-node/alys/sdk/bls"
)

func TestPublishedDerivations(t *testing.T) {
	raw, err := os.ReadFile("testdata/eip2333.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Seed   string
			Master string `json:"master_SK"`
			Index  uint32 `json:"child_index"`
			Child  string `json:"child_SK"`
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 4 {
		t.Fatalf("%d cases, the EIP has 4", len(file.Cases))
	}
	for i, c := range file.Cases {
		seed, err := hex.DecodeString(c.Seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []struct {
			path []uint32
			want string
		}{{nil, c.Master}, {[]uint32{c.Index}, c.Child}} {
			k, err := bls.DeriveSecretKey(seed, d.path)
			if err != nil {
				t.Fatalf("case %d, path %v: %v", i, d.path, err)
			}
			if got := new(big.Int).SetBytes(k.Bytes()).String(); got != d.want {
				t.Errorf("case %d, path %v: got %s, want %s", i, d.path, got, d.want)
			}
		}
	}
}

func TestShortSeedIsRefused(t *testing.T) {
	for _, n := range []int{0, 16, bls.MinSeedSize - 1} {
		if _, err := bls.DeriveSecretKey(make([]byte, n), nil); !errors.Is(err, bls.ErrBadSecret) {
			t.Errorf("%d bytes: got %v, want ErrBadSecret", n, err)
		}
	}
}
