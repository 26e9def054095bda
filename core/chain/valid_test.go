package chain_test

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/core/block"
	alys "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
)

// rehash gives a changed payload the execution block hash that fits it, as a cheating proposer would.
func rehash(t *testing.T, d *chain.ExecutionData) {
	t.Helper()
	p := &d.Payload
	data := engine.ExecutableData{
		ParentHash: common.Hash(p.ParentHash), FeeRecipient: common.Address(p.FeeRecipient), StateRoot: common.Hash(p.StateRoot),
		ReceiptsRoot: common.Hash(p.ReceiptsRoot), LogsBloom: p.LogsBloom[:], Random: common.Hash(p.PrevRandao), Number: uint64(p.Number),
		GasLimit: p.GasLimit, GasUsed: p.GasUsed, Timestamp: p.Timestamp, ExtraData: p.ExtraData, BaseFeePerGas: p.BaseFeePerGas.Big(),
		Transactions: p.Transactions, BlobGasUsed: p.BlobGasUsed, ExcessBlobGas: p.ExcessBlobGas, Withdrawals: []*types.Withdrawal{},
	}
	for _, w := range p.Withdrawals {
		data.Withdrawals = append(data.Withdrawals, &types.Withdrawal{Index: w.Index, Validator: w.Validator, Address: common.Address(w.Address), Amount: uint64(w.Amount)})
	}
	var root *common.Hash
	if d.ParentBeaconRoot != nil {
		root = (*common.Hash)(d.ParentBeaconRoot)
	}
	var hashes []common.Hash
	if txs, err := engine.DecodeTransactions(p.Transactions); err == nil {
		for _, tx := range txs {
			hashes = append(hashes, tx.BlobHashes()...)
		}
	}
	b, err := engine.ExecutableDataToBlockNoHash(data, hashes, root, d.Requests)
	if err != nil {
		return // no hash fits it
	}
	p.BlockHash = chain.Hash(b.Hash())
}

func deepCopy(t *testing.T, b *block.Block) *block.Block {
	t.Helper()
	c, err := block.Decode(b.Encode())
	must(t, err)
	return c
}

func blobTx(t *testing.T) []byte {
	t.Helper()
	raw, err := types.MustSignNewTx(devKey(t), types.NewCancunSigner(common.Big1), &types.BlobTx{BlobHashes: []common.Hash{{1}}}).MarshalBinary()
	must(t, err)
	return raw
}

func TestBlockThatBreaksARuleIsInvalid(t *testing.T) {
	specs := map[string]*spec.Spec{"shanghai": spec.Dev(), "prague": spec.DevPrague(1)}
	const both = ""
	tests := []struct {
		name  string
		fork  string
		rule  alys.Rule
		cheat func(b *block.Block) // then hashes and seal are made to fit
	}{
		{"of another chain", both, alys.RuleGenesis, func(b *block.Block) { b.Header.Genesis[0] ^= 1 }},
		{"a header version of the future", both, alys.RuleSeal, func(b *block.Block) { b.Header.Version = 2 }},
		{"a height too high", both, alys.RuleHeight, func(b *block.Block) { b.Header.Height++; b.Execution.Payload.Number++ }},
		{"the height of its parent", both, alys.RuleHeight, func(b *block.Block) { b.Header.Height--; b.Execution.Payload.Number-- }},
		{"the slot of its parent", both, alys.RuleSlot, func(b *block.Block) { b.Header.Slot-- }},
		{"a slot before its parent's", both, alys.RuleSlot, func(b *block.Block) { b.Header.Slot -= 2 }},
		{"a timestamp one second late", both, alys.RuleTimestamp, func(b *block.Block) { b.Execution.Payload.Timestamp++ }},
		{"a later slot with the old timestamp", both, alys.RuleTimestamp, func(b *block.Block) { b.Header.Slot++ }},
		{"another payload's child", both, alys.RuleParent, func(b *block.Block) { b.Execution.Payload.ParentHash[0] ^= 1 }},
		{"a fee recipient of its own", both, alys.RuleFixed, func(b *block.Block) { b.Execution.Payload.FeeRecipient[0] = 1 }},
		{"randomness", both, alys.RuleFixed, func(b *block.Block) { b.Execution.Payload.PrevRandao[0] = 1 }},
		{"33 bytes of extra data", both, alys.RuleFixed, func(b *block.Block) { b.Execution.Payload.ExtraData = make([]byte, 33) }},
		{"a gas limit above the target", both, alys.RuleGasLimit, func(b *block.Block) { b.Execution.Payload.GasLimit++ }},
		{"a gas limit below the target", both, alys.RuleGasLimit, func(b *block.Block) { b.Execution.Payload.GasLimit-- }},
		{"a transaction of no bytes", both, alys.RuleTransaction, func(b *block.Block) { b.Execution.Payload.Transactions = [][]byte{{}} }},
		{"a transaction with blobs", both, alys.RuleTransaction, func(b *block.Block) { b.Execution.Payload.Transactions = [][]byte{blobTx(t)} }},
		{"a transaction that is none", both, alys.RulePayloadHash, func(b *block.Block) { b.Execution.Payload.Transactions = [][]byte{{0xc0}} }},
		{"a proof of work", both, alys.RuleUnsupported, func(b *block.Block) { b.AuxPoW = &block.AuxPoW{} }},
		{"a deposit", both, alys.RuleUnsupported, func(b *block.Block) { b.Deposits = []block.Deposit{{}} }},
		{"a settlement", both, alys.RuleUnsupported, func(b *block.Block) { b.Settlements = []block.Settlement{{}} }},
		{"a void", both, alys.RuleUnsupported, func(b *block.Block) { b.Voids = []block.Void{{}} }},
		{"a payment", both, alys.RuleUnsupported, func(b *block.Block) { b.Payment.Tx = []byte{1} }},
		{"a fee rate", both, alys.RuleUnsupported, func(b *block.Block) { b.Payment.Rate = 1 }},
		{"a federation update", both, alys.RuleUnsupported, func(b *block.Block) { b.Update = &block.Update{} }},

		{"a blob gas field before Cancun", "shanghai", alys.RuleForkFields, func(b *block.Block) { b.Execution.Payload.BlobGasUsed = new(uint64) }},
		{"a beacon root before Cancun", "shanghai", alys.RuleForkFields, func(b *block.Block) { b.Execution.ParentBeaconRoot = &b.Header.Parent }},
		{"requests before Prague", "shanghai", alys.RuleForkFields, func(b *block.Block) { b.Execution.Requests = [][]byte{} }},

		{"no blob gas field", "prague", alys.RuleForkFields, func(b *block.Block) { b.Execution.Payload.ExcessBlobGas = nil }},
		{"no beacon root", "prague", alys.RuleForkFields, func(b *block.Block) { b.Execution.ParentBeaconRoot = nil }},
		{"another beacon root", "prague", alys.RuleForkFields, func(b *block.Block) { b.Execution.ParentBeaconRoot = &chain.Hash{1} }},
		{"blob gas", "prague", alys.RuleForkFields, func(b *block.Block) { b.Execution.Payload.BlobGasUsed = new(uint64(131072)) }},
		{"excess blob gas", "prague", alys.RuleForkFields, func(b *block.Block) { b.Execution.Payload.ExcessBlobGas = new(uint64(1)) }},
		{"no list of requests", "prague", alys.RuleForkFields, func(b *block.Block) { b.Execution.Requests = nil }},
		{"an empty request, which the hash does not see", "prague", alys.RulePayloadHash, func(b *block.Block) { b.Execution.Requests = [][]byte{{0}} }},
		{"requests out of order", "prague", alys.RulePayloadHash, func(b *block.Block) { b.Execution.Requests = [][]byte{{1, 1}, {0, 1}} }},
	}
	for name, s := range specs {
		n := newNode(t, s)
		line := n.extend(n.Genesis(), 2)
		parent := line[2]
		good := n.build(parent, parent.Header.Slot+1)
		must(t, n.Check(t.Context(), good))
		for _, tt := range tests {
			if tt.fork != both && tt.fork != name {
				continue
			}
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				b := deepCopy(t, good)
				tt.cheat(b)
				rehash(t, &b.Execution)
				b.Seal()
				checkInvalid(t, n.Check(t.Context(), b), tt.rule)
				checkInvalid(t, n.Insert(t.Context(), b, nil), tt.rule)
				if has, err := n.Has(b.Header.Hash()); has || err != nil {
					t.Errorf("the invalid block is stored: %v, %v", has, err)
				}
			})
		}
	}
}

func checkInvalid(t *testing.T, err error, rule alys.Rule) {
	t.Helper()
	var invalid *alys.InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, alys.ErrInvalid) {
		t.Fatalf("error is %v, want an InvalidError for %s", err, rule)
	}
	if invalid.Rule != rule {
		t.Errorf("rule is %s, want %s: %v", invalid.Rule, rule, err)
	}
}

func TestBodyThatTheHeaderDoesNotCommitToIsInvalid(t *testing.T) {
	n := newNode(t, spec.DevPrague(1))
	n.transfers(3)
	good := n.build(n.Genesis(), n.first())
	if len(good.Execution.Payload.Transactions) != 3 {
		t.Fatalf("%d transactions, want 3", len(good.Execution.Payload.Transactions))
	}
	tests := []struct {
		name   string
		rule   alys.Rule
		change func(b *block.Block)
	}{
		{"a transaction is missing", alys.RulePayloadHash, func(b *block.Block) {
			b.Execution.Payload.Transactions = b.Execution.Payload.Transactions[:2]
		}},
		{"another state root", alys.RulePayloadHash, func(b *block.Block) { b.Execution.Payload.StateRoot[0] ^= 1 }},
		{"a request was added", alys.RulePayloadHash, func(b *block.Block) { b.Execution.Requests = [][]byte{{1, 2}} }},
		{"a transaction is spelled twice as long", alys.RulePayloadHash, func(b *block.Block) {
			b.Execution.Payload.Transactions[0] = append(b.Execution.Payload.Transactions[0], 0)
		}},
		{"another payload hash", alys.RuleSeal, func(b *block.Block) { b.Execution.Payload.BlockHash[0] ^= 1 }},
		{"another certificate", alys.RuleSeal, func(b *block.Block) { b.ParentQC.Signers = block.Signers{7} }},
		{"a part that is not in the body root", alys.RuleSeal, func(b *block.Block) { b.Payment.Rate = 9 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := deepCopy(t, good)
			tt.change(b)
			checkInvalid(t, n.Check(t.Context(), b), tt.rule)
		})
	}
}

func TestFirstBlockStartsASecondAfterGenesis(t *testing.T) {
	n := newNode(t, spec.Dev())
	b := n.build(n.Genesis(), n.first())
	if ts, genesis := b.Execution.Payload.Timestamp, n.Genesis().Execution.Payload.Timestamp; ts <= genesis {
		t.Errorf("first timestamp is %d, genesis has %d", ts, genesis)
	}
	early := deepCopy(t, b)
	early.Header.Slot = n.first() - 1
	early.Execution.Payload.Timestamp = n.spec.PayloadTime(early.Header.Slot)
	rehash(t, &early.Execution)
	early.Seal()
	checkInvalid(t, n.Check(t.Context(), early), alys.RuleSlot)
}

func TestGenesisHasOneCertificate(t *testing.T) {
	n := newNode(t, spec.Dev())
	b := n.build(n.Genesis(), n.first())
	b.ParentQC.Signers = block.Signers{0}
	b.Seal()
	checkInvalid(t, n.Check(t.Context(), b), alys.RuleCertificate)
}

func TestChainStallsWithoutProofs(t *testing.T) {
	n := newNode(t, withStallLimit(t, 3))
	line := n.extend(n.Genesis(), 3)
	attrs, err := n.Attributes(line[3].Header.Hash(), line[3].Header.Slot+1)
	must(t, err)
	data, err := n.engine.Build(t.Context(), attrs)
	must(t, err)
	_, err = n.Assemble(line[3].Header.Hash(), line[3].Header.Slot+1, certificate(line[3].Header), data)
	checkInvalid(t, err, alys.RuleStall)
}

func TestD21_ExtraWithdrawalRefused(t *testing.T) {
	n := newNode(t, spec.Dev())
	good := n.build(n.Genesis(), n.first())
	for name, w := range map[string]chain.Withdrawal{
		"that mints":        {Address: chain.Address{1}, Amount: 1_000_000},
		"of nothing":        {Address: chain.Address{1}},
		"to the fee burner": {Address: good.Execution.Payload.FeeRecipient, Amount: 1},
	} {
		b := deepCopy(t, good)
		b.Execution.Payload.Withdrawals = []chain.Withdrawal{w}
		rehash(t, &b.Execution)
		b.Seal()
		if err := n.Check(t.Context(), b); err == nil {
			t.Errorf("a withdrawal %s was accepted", name)
		} else {
			checkInvalid(t, err, alys.RuleWithdrawals)
		}
	}
}

func TestD27_HistoryIsJudgedAgainByAFreshNode(t *testing.T) {
	n := newNode(t, spec.DevPrague(1))
	n.transfers(4)
	line := n.extend(n.Genesis(), 6)
	fresh := newNode(t, n.spec)
	for _, b := range line[1:] {
		if err := fresh.Check(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		must(t, fresh.Insert(t.Context(), b, n.execute(b)))
	}
}

func TestMissingParentIsNotInvalid(t *testing.T) {
	n := newNode(t, spec.Dev())
	line := n.extend(n.Genesis(), 2)
	fresh := newNode(t, n.spec)
	err := fresh.Check(t.Context(), line[2])
	if !errors.Is(err, alys.ErrMissingParent) || errors.Is(err, alys.ErrInvalid) {
		t.Errorf("error is %v, want ErrMissingParent", err)
	}
	if err := fresh.Insert(t.Context(), line[2], nil); !errors.Is(err, alys.ErrMissingParent) {
		t.Errorf("insert: %v, want ErrMissingParent", err)
	}
}

func TestGasLimitMovesTowardsTheTarget(t *testing.T) {
	const target = 30_000_000
	parentAt := func(limit uint64) alys.Parent {
		n := newNode(t, spec.Dev())
		return alys.Parent{Header: n.Genesis().Header, GasLimit: limit, State: alys.State{Covered: n.Genesis().Ref()}}
	}
	n := newNode(t, spec.Dev())
	rules, err := alys.RulesOf(n.spec)
	must(t, err)
	good := n.build(n.Genesis(), n.first())
	for _, tt := range []struct {
		name          string
		parent, limit uint64
		ok            bool
	}{
		{"up by the step", 20_000_000, 20_000_000 + 20_000_000/1024 - 1, true},
		{"up by less", 20_000_000, 20_000_001, true},
		{"at rest", 20_000_000, 20_000_000, true},
		{"up by more than the step", 20_000_000, 20_000_000 + 20_000_000/1024, false},
		{"away from the target", 20_000_000, 19_999_999, false},
		{"down by the step", 40_000_000, 40_000_000 - 40_000_000/1024 + 1, true},
		{"up and away", 40_000_000, 40_000_001, false},
		{"onto the target", target - 10, target, true},
		{"past the target", target - 10, target + 1, false},
	} {
		b := deepCopy(t, good)
		b.Execution.Payload.GasLimit = tt.limit
		rehash(t, &b.Execution)
		b.Seal()
		if err := alys.Valid(rules, parentAt(tt.parent), b); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
