package chain_test

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/sdk/chain"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		ok   bool
	}{
		{"with 0x", "0x" + strings.Repeat("ab", 32), true},
		{"without 0x", strings.Repeat("ab", 32), true},
		{"in capitals", "0x" + strings.Repeat("AB", 32), true},
		{"a digit short", "0x" + strings.Repeat("ab", 31) + "a", false},
		{"a digit long", "0x" + strings.Repeat("ab", 32) + "a", false},
		{"not hex", "0x" + strings.Repeat("zz", 32), false},
		{"0x twice", "0x0x" + strings.Repeat("ab", 31), false},
		{"empty", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, err := chain.ParseHash(test.text)
			if (err == nil) != test.ok {
				t.Fatalf("got error %v", err)
			}
			if err == nil && h != chain.Hash(bytes.Repeat([]byte{0xab}, 32)) {
				t.Errorf("got %s", h)
			}
		})
	}
	if a, err := chain.ParseAddress("0x000000000000000000000000000000000000dEaD"); err != nil || a != (chain.Address{18: 0xde, 19: 0xad}) {
		t.Errorf("address %s, %v", a, err)
	}
}

// text is what every fixed array can do.
type text interface {
	encoding.TextMarshaler
	String() string
}

func TestTextsComeBack(t *testing.T) {
	check := func(v text, into encoding.TextUnmarshaler, want string) {
		t.Helper()
		b, err := v.MarshalText()
		if err != nil || string(b) != want || v.String() != want {
			t.Errorf("got %q and %q, want %q", b, v.String(), want)
		}
		if err := into.UnmarshalText(b); err != nil {
			t.Error(err)
		}
		if err := into.UnmarshalText(b[:len(b)-1]); err == nil {
			t.Errorf("%T takes a digit less", into)
		}
	}
	var (
		h  chain.Hash
		a  chain.Address
		k  chain.BLSPublicKey
		s  chain.BLSSignature
		bk chain.BitcoinPublicKey
	)
	check(chain.Hash{1}, &h, "0x01"+strings.Repeat("00", 31))
	check(chain.Address{1}, &a, "0x01"+strings.Repeat("00", 19))
	check(chain.BLSPublicKey{1}, &k, "0x01"+strings.Repeat("00", 47))
	check(chain.BLSSignature{1}, &s, "0x01"+strings.Repeat("00", 95))
	check(chain.BitcoinPublicKey{2}, &bk, "02"+strings.Repeat("00", 32))
	if h != (chain.Hash{1}) || a != (chain.Address{1}) || k != (chain.BLSPublicKey{1}) || s != (chain.BLSSignature{1}) || bk != (chain.BitcoinPublicKey{2}) {
		t.Error("a value did not come back")
	}
	if h.Short() != "01000000" || h.IsZero() || !(chain.Hash{}).IsZero() || s.IsZero() || !(chain.BLSSignature{}).IsZero() {
		t.Error("short form or zero test is wrong")
	}
}

func header() chain.Header {
	return chain.Header{
		Version: chain.HeaderVersion, Genesis: chain.Hash{1}, Slot: 0x0102030405060708, Height: 9,
		Parent: chain.Hash{2}, ParentQC: chain.Hash{3}, PayloadHash: chain.Hash{4}, BodyRoot: chain.Hash{5},
	}
}

// The golden encoding and hash: a signer in another language can be checked against them.
const (
	goldenHeader = "01" +
		"0100000000000000000000000000000000000000000000000000000000000000" +
		"0102030405060708" + "0000000000000009" +
		"0200000000000000000000000000000000000000000000000000000000000000" +
		"0300000000000000000000000000000000000000000000000000000000000000" +
		"0400000000000000000000000000000000000000000000000000000000000000" +
		"0500000000000000000000000000000000000000000000000000000000000000"
	goldenHash = "0x469195fb5d9f885a2e88175d188086b4c6e1416f07a8cfe4053bbc37d1209697"
)

func TestHeaderEncoding(t *testing.T) {
	b := header().Encode()
	if got := hex.EncodeToString(b); got != goldenHeader {
		t.Errorf("encoding\n got %s\nwant %s", got, goldenHeader)
	}
	if got := header().Hash().String(); got != goldenHash {
		t.Errorf("hash %s, want %s", got, goldenHash)
	}
	got, err := chain.DecodeHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(header(), got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	later := bytes.Clone(b)
	later[0] = chain.HeaderVersion + 1
	for name, bad := range map[string][]byte{
		"nothing": nil, "a byte short": b[:len(b)-1], "a byte long": append(bytes.Clone(b), 0), "another version": later,
	} {
		if _, err := chain.DecodeHeader(bad); err == nil {
			t.Errorf("%s: it decodes", name)
		}
	}
}

func TestEveryFieldOfAHeaderCountsInItsHash(t *testing.T) {
	seen := map[chain.Hash]int{}
	for i := range header().Encode() {
		if i == 0 {
			continue // the version: there is one
		}
		b := header().Encode()
		b[i] ^= 1
		h, err := chain.DecodeHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if before, twice := seen[h.Hash()]; twice || h.Hash() == header().Hash() {
			t.Errorf("byte %d does not count, or as byte %d does", i, before)
		}
		seen[h.Hash()] = i
	}
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(header().Encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := chain.DecodeHeader(b)
		if err == nil && !bytes.Equal(h.Encode(), b) {
			t.Errorf("%x decodes and encodes to %x", b, h.Encode())
		}
	})
}

func TestTaggedHashKeepsDomainsApart(t *testing.T) {
	if chain.TaggedHash("a", []byte("b")) == chain.TaggedHash("ab") {
		t.Error("tag and message run together")
	}
	if chain.TaggedHash("a", []byte("b"), []byte("c")) != chain.TaggedHash("a", []byte("bc")) {
		t.Error("parts are not simply joined")
	}
}

func TestQuantities(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 256)
	for _, v := range []*big.Int{huge, big.NewInt(-1)} {
		if _, ok := chain.WeiFromBig(v); ok {
			t.Errorf("%s fits", v)
		}
	}
	most := new(big.Int).Sub(huge, big.NewInt(1))
	w, ok := chain.WeiFromBig(most)
	if !ok || w.Big().Cmp(most) != 0 || w.String() != most.String() {
		t.Errorf("2^256-1 became %s, %v", w, ok)
	}
	if got := chain.UnixMilli(1_500).Time(); !got.Equal(time.Unix(1, 500_000_000)) || got.Location() != time.UTC {
		t.Errorf("time %s", got)
	}
	if chain.Height(7).String() != "7" || chain.Slot(8).String() != "8" {
		t.Error("a height or slot is not decimal")
	}
	b, err := json.Marshal(chain.Ref{Height: 3, Hash: chain.Hash{1}})
	if want := `{"height":3,"hash":"0x01` + strings.Repeat("00", 31) + `"}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
}
