package block_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/sdk/chain"
)

var update = flag.Bool("update", false, "rewrite the golden bytes: only for a new header version")

// fill gives distinct, recognisable bytes.
func fill[T ~[20]byte | ~[32]byte | ~[33]byte | ~[48]byte | ~[80]byte | ~[96]byte](b byte) T {
	var out T
	for i := range len(out) {
		out[i] = b
	}
	return out
}

// full is a block with every part present.
func full() *block.Block {
	signers := block.NewSigners(15)
	for _, i := range []int{0, 3, 14} {
		signers.Set(i)
	}
	inclusion := block.Inclusion{
		Tx: []byte{2, 0, 0, 0}, Branch: []chain.Hash{fill[chain.Hash](0x21), fill[chain.Hash](0x22)}, Index: 3,
		Header: fill[[80]byte](0x23),
	}
	b := &block.Block{
		Header: chain.Header{
			Version: chain.HeaderVersion, Genesis: fill[chain.Hash](1), Slot: 900_000_001, Height: 7, Parent: fill[chain.Hash](2),
		},
		ParentQC: block.QC{Block: fill[chain.Hash](2), Signers: signers, Signature: fill[chain.BLSSignature](3)},
		AuxPoW: &block.AuxPoW{
			RangeStart: fill[chain.Hash](4), RangeEnd: fill[chain.Hash](5), Bits: 0x207fffff, ChainID: 41381, Index: 2,
			FeeRecipient: fill[chain.Address](6), Proof: []byte("proof"),
		},
		Deposits:    []block.Deposit{{Inclusion: inclusion, Vouts: []uint32{0, 2}}},
		Settlements: []block.Settlement{{Payment: fill[chain.Hash](7), Version: 1, Inclusion: inclusion}},
		Voids:       []block.Void{{Txid: fill[chain.Hash](8), Vout: 1, Ancestors: [][]byte{{7, 8}}, Inclusion: inclusion}},
		Payment:     block.Payment{Tx: []byte{2, 0, 0, 0, 9}, Rate: 2000},
		Update: &block.Update{
			Encoded: block.EncodeFederation(federation()), Signers: signers, Signature: fill[chain.BLSSignature](9),
			Governance: [][]byte{{}, bytes.Repeat([]byte{10}, 64)},
		},
		Execution: chain.ExecutionData{
			Payload: chain.Payload{
				ParentHash: fill[chain.Hash](11), FeeRecipient: fill[chain.Address](12), StateRoot: fill[chain.Hash](13),
				ReceiptsRoot: fill[chain.Hash](14), LogsBloom: [256]byte{15}, Number: 7, GasLimit: 30_000_000, GasUsed: 21_000,
				Timestamp: 1_800_000_002, ExtraData: []byte("alys"), BaseFeePerGas: chain.Wei{31: 7}, BlockHash: fill[chain.Hash](16),
				Transactions: [][]byte{{2, 1, 2, 3}}, Withdrawals: []chain.Withdrawal{{Index: 4, Address: fill[chain.Address](17), Amount: 10}},
				BlobGasUsed: new(uint64(0)), ExcessBlobGas: new(uint64(0)),
			},
			ParentBeaconRoot: new(fill[chain.Hash](2)), Requests: [][]byte{{0, 1}, {1, 2}},
		},
	}
	b.Seal()
	return b
}

// bare is a block with every optional part absent, as before Cancun.
func bare() *block.Block {
	b := &block.Block{
		Header: chain.Header{
			Version: chain.HeaderVersion, Genesis: fill[chain.Hash](1), Slot: 5, Height: 1, Parent: fill[chain.Hash](1),
		},
		ParentQC: block.QC{Block: fill[chain.Hash](1)},
	}
	b.Execution.Payload = chain.Payload{Number: 1, BlockHash: fill[chain.Hash](16), Timestamp: 10}
	b.Seal()
	return b
}

func federation() block.Federation {
	return block.Federation{
		Serial: 2, Effective: 1000,
		Authorities: []block.Authority{{Key: fill[chain.BLSPublicKey](1), Possession: fill[chain.BLSSignature](2)}},
		BitcoinKeys: []chain.BitcoinPublicKey{fill[chain.BitcoinPublicKey](3)}, Threshold: 1, ScriptKind: "taproot",
		FeeAddresses:   []chain.Address{fill[chain.Address](4)},
		GovernanceKeys: []chain.BitcoinPublicKey{fill[chain.BitcoinPublicKey](5)}, GovernanceThreshold: 1, SignedAt: 990,
	}
}

// The encoding and the hash of a block never change: stores, peers and signatures depend on them.
func TestGoldenBytes(t *testing.T) {
	genesis := block.Genesis(fill[chain.Hash](0x77), chain.Payload{BlockHash: fill[chain.Hash](0x78), GasLimit: 30_000_000})
	for name, b := range map[string]*block.Block{"full": full(), "bare": bare(), "genesis": genesis} {
		header, qc, hash := b.Header.Encode(), block.EncodeQC(b.ParentQC), b.Header.Hash()
		golden(t, name+".hex", b.Encode(), header, qc, hash[:])
	}
	golden(t, "federation.hex", block.EncodeFederation(federation()))
}

// golden compares with a file of one hex line for each part.
func golden(t *testing.T, name string, parts ...[]byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	lines := make([]string, len(parts))
	for i, p := range parts {
		lines[i] = hex.EncodeToString(p)
	}
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: bytes have changed:\n%s", name, cmp.Diff(string(want), got))
	}
}

func TestEncodingIsCanonicalBothWays(t *testing.T) {
	for name, b := range map[string]*block.Block{"full": full(), "bare": bare()} {
		raw := b.Encode()
		again, err := block.Decode(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(b, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: decoded block differs:\n%s", name, diff)
		}
		if !bytes.Equal(again.Encode(), raw) {
			t.Errorf("%s: encoding the decoded block gives other bytes", name)
		}
		if err := again.CheckSeal(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// "None" and "an empty one" are different blocks: a Cancun payload with zero blob gas is not a Shanghai one.
func TestAbsentAndEmptyPartsDiffer(t *testing.T) {
	absent, present := bare(), bare()
	present.Execution.Requests = [][]byte{}
	present.Execution.Payload.BlobGasUsed = new(uint64(0))
	present.Execution.ParentBeaconRoot = new(chain.Hash{})
	again, err := block.Decode(present.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if again.Execution.Requests == nil || again.Execution.Payload.BlobGasUsed == nil || again.Execution.ParentBeaconRoot == nil {
		t.Error("a part that is present and empty is lost")
	}
	if bytes.Equal(absent.Encode(), present.Encode()) {
		t.Error("absent and empty parts have one encoding")
	}
}

func TestHeaderCommitsToEveryPart(t *testing.T) {
	for name, change := range map[string]func(*block.Block){
		"parent certificate": func(b *block.Block) { b.ParentQC.Signature[0]++ },
		"other parent":       func(b *block.Block) { b.ParentQC.Block[0]++; b.Header.ParentQC = b.ParentQC.Hash() },
		"payload hash":       func(b *block.Block) { b.Execution.Payload.BlockHash[0]++ },
		"payload number":     func(b *block.Block) { b.Execution.Payload.Number++ },
		"proof":              func(b *block.Block) { b.AuxPoW.Proof[0]++ },
		"no proof":           func(b *block.Block) { b.AuxPoW = nil },
		"deposit":            func(b *block.Block) { b.Deposits[0].Vouts[0]++ },
		"settlement":         func(b *block.Block) { b.Settlements[0].Version++ },
		"void":               func(b *block.Block) { b.Voids[0].Vout++ },
		"rate":               func(b *block.Block) { b.Payment.Rate++ },
		"update":             func(b *block.Block) { b.Update.Encoded[5]++ },
		"no update":          func(b *block.Block) { b.Update = nil },
	} {
		b := full()
		if err := b.CheckSeal(); err != nil {
			t.Fatal(err)
		}
		change(b)
		if err := b.CheckSeal(); !errors.Is(err, block.ErrMismatch) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestGenesisHashCoversItsIdentity(t *testing.T) {
	payload := chain.Payload{BlockHash: fill[chain.Hash](1)}
	a, b := block.Genesis(fill[chain.Hash](2), payload), block.Genesis(fill[chain.Hash](3), payload)
	if a.Ref().Hash == b.Ref().Hash {
		t.Error("two identities, one hash")
	}
	if err := a.CheckSeal(); err != nil {
		t.Error(err)
	}
	if a.Header.Height != 0 || a.Header.Slot != 0 {
		t.Errorf("genesis at height %d, slot %d", a.Header.Height, a.Header.Slot)
	}
}

func TestDecodeKeepsLimits(t *testing.T) {
	many := block.Inclusion{Branch: make([]chain.Hash, block.MaxBranch+1)}
	for name, change := range map[string]func(*block.Block){
		"signers":            func(b *block.Block) { b.ParentQC.Signers = make([]byte, 33) },
		"deposits":           func(b *block.Block) { b.Deposits = make([]block.Deposit, block.MaxDeposits+1) },
		"settlements":        func(b *block.Block) { b.Settlements = make([]block.Settlement, block.MaxSettlements+1) },
		"voids":              func(b *block.Block) { b.Voids = make([]block.Void, block.MaxVoids+1) },
		"outputs":            func(b *block.Block) { b.Deposits[0].Vouts = make([]uint32, block.MaxVouts+1) },
		"deposit branch":     func(b *block.Block) { b.Deposits[0].Inclusion = many },
		"settlement branch":  func(b *block.Block) { b.Settlements[0].Inclusion = many },
		"void branch":        func(b *block.Block) { b.Voids[0].Inclusion = many },
		"void ancestors":     func(b *block.Block) { b.Voids[0].Ancestors = make([][]byte, block.MaxAncestors+1) },
		"void ancestor":      func(b *block.Block) { b.Voids[0].Ancestors = [][]byte{make([]byte, block.MaxTxBytes+1)} },
		"payment":            func(b *block.Block) { b.Payment.Tx = make([]byte, block.MaxTxBytes+1) },
		"deposit's bytes":    func(b *block.Block) { b.Deposits[0].Inclusion.Tx = make([]byte, block.MaxTxBytes+1) },
		"extra data":         func(b *block.Block) { b.Execution.Payload.ExtraData = make([]byte, 33) },
		"update's signers":   func(b *block.Block) { b.Update.Signers = make([]byte, 33) },
		"governance":         func(b *block.Block) { b.Update.Governance = make([][]byte, block.MaxAuthorities+1) },
		"governance's bytes": func(b *block.Block) { b.Update.Governance = [][]byte{make([]byte, 97)} },
		"transactions": func(b *block.Block) {
			b.Execution.Payload.Transactions = make([][]byte, block.MaxTransactions+1)
		},
		"requests":        func(b *block.Block) { b.Execution.Requests = make([][]byte, block.MaxTransactions+1) },
		"update's bytes":  func(b *block.Block) { b.Update.Encoded = make([]byte, block.MaxUpdateBytes+1) },
		"the whole block": func(b *block.Block) { b.AuxPoW.Proof = make([]byte, block.MaxBlockBytes) },
	} {
		b := full()
		change(b)
		if got, err := block.Decode(b.Encode()); !errors.Is(err, block.ErrTooLarge) || got != nil {
			t.Errorf("%s: block %v, error %v", name, got != nil, err)
		}
	}
}

func TestDecodeRefusesSecondSpellings(t *testing.T) {
	raw := full().Encode()
	for name, bad := range map[string][]byte{
		"nothing":        nil,
		"trailing bytes": append(bytes.Clone(raw), 0),
		"truncated":      raw[:len(raw)-1],
		"a string":       {0x83, 1, 2, 3},
		"an empty list":  {0xc0},
	} {
		if _, err := block.Decode(bad); err == nil {
			t.Errorf("%s is decoded", name)
		}
	}
	for name, parts := range map[string]int{"two proofs": 2, "two updates": 7} {
		if _, err := block.Decode(doubled(t, raw, parts)); err == nil {
			t.Errorf("%s are decoded", name)
		}
	}
	old := bytes.Clone(raw)
	at := bytes.Index(old, full().Header.Encode())
	old[at] = 2
	if _, err := block.Decode(old); err == nil {
		t.Error("an unknown header version is decoded")
	}
}

// doubled repeats the only item of the list that is element i of a block's encoding.
func doubled(t *testing.T, raw []byte, i int) []byte {
	t.Helper()
	var parts []rlp.RawValue
	if err := rlp.DecodeBytes(raw, &parts); err != nil {
		t.Fatal(err)
	}
	var items []rlp.RawValue
	if err := rlp.DecodeBytes(parts[i], &items); err != nil {
		t.Fatal(err)
	}
	twice, err := rlp.EncodeToBytes(append(items, items...))
	if err != nil {
		t.Fatal(err)
	}
	parts[i] = twice
	out, err := rlp.EncodeToBytes(parts)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSigners(t *testing.T) {
	s := block.NewSigners(15)
	for _, i := range []int{14, 0, 8} {
		s.Set(i)
	}
	if diff := cmp.Diff([]int{0, 8, 14}, s.Indexes()); diff != "" {
		t.Error(diff)
	}
	if len(s) != 2 || s.Count() != 3 || !s.Has(14) || s.Has(1) || s.Has(400) {
		t.Errorf("signers %x", []byte(s))
	}
	if s[0] != 1 || s[1] != 0x41 {
		t.Errorf("bit order: %x", []byte(s))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().Encode())
	f.Add(bare().Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := block.Decode(raw)
		if err != nil {
			if b != nil {
				t.Fatal("a block with an error")
			}
			return
		}
		if !bytes.Equal(b.Encode(), raw) {
			t.Fatal("a second spelling is decoded")
		}
		_ = b.CheckSeal()
	})
}

func FuzzDecodeQC(f *testing.F) {
	f.Add(block.EncodeQC(full().ParentQC))
	f.Add(block.EncodeQC(block.QC{}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		qc, err := block.DecodeQC(raw)
		if err == nil && !bytes.Equal(block.EncodeQC(qc), raw) {
			t.Fatal("a second spelling is decoded")
		}
	})
}

func FuzzDecodeFederation(f *testing.F) {
	f.Add(block.EncodeFederation(federation()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fed, err := block.DecodeFederation(raw)
		if err == nil && !bytes.Equal(block.EncodeFederation(fed), raw) {
			t.Fatal("a second spelling is decoded")
		}
	})
}

func TestDecodeQCKeepsLimits(t *testing.T) {
	for name, q := range map[string]block.QC{
		"signers":               {Signers: make([]byte, 33)},
		"the whole certificate": {Signers: make([]byte, 400)},
	} {
		if _, err := block.DecodeQC(block.EncodeQC(q)); !errors.Is(err, block.ErrTooLarge) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestDecodeFederationKeepsLimits(t *testing.T) {
	if _, err := block.DecodeFederation(make([]byte, block.MaxUpdateBytes+1)); !errors.Is(err, block.ErrTooLarge) {
		t.Errorf("the whole update: error is %v", err)
	}
	for name, change := range map[string]func(*block.Federation){
		"authorities": func(f *block.Federation) { f.Authorities = make([]block.Authority, block.MaxAuthorities+1) },
		"keys":        func(f *block.Federation) { f.BitcoinKeys = make([]chain.BitcoinPublicKey, block.MaxAuthorities+1) },
		"governance":  func(f *block.Federation) { f.GovernanceKeys = make([]chain.BitcoinPublicKey, block.MaxAuthorities+1) },
		"addresses":   func(f *block.Federation) { f.FeeAddresses = make([]chain.Address, block.MaxAuthorities+1) },
	} {
		f := federation()
		change(&f)
		if _, err := block.DecodeFederation(block.EncodeFederation(f)); !errors.Is(err, block.ErrTooLarge) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
