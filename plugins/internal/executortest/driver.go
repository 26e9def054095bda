package executortest

import (
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// driver produces blocks on an engine.
type driver struct {
	t   *testing.T
	e   engine.Engine
	s   engine.Status
	tip chain.Ref
	log []chain.ExecutionData
}

func drive(t *testing.T, e engine.Engine) *driver {
	t.Helper()
	s, err := e.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &driver{t: t, e: e, s: s, tip: s.Heads.Head}
}

// request asks for the next block.
func (d *driver) request() engine.BuildRequest {
	r := engine.BuildRequest{
		Parent: d.tip.Hash, Timestamp: GenesisTime + 2*uint64(d.tip.Height+1), GasLimit: 30_000_000,
		FeeRecipient: chain.Address{18: 0xde, 19: 0xad},
		Withdrawals:  []chain.Withdrawal{{Index: uint64(d.tip.Height), Address: chain.Address{19: 1}, Amount: 10}},
	}
	for _, f := range d.s.Forks {
		if f.Name == "cancun" && f.Timestamp <= r.Timestamp {
			r.ParentBeaconRoot = &chain.Hash{0xbe}
		}
	}
	return r
}

func (d *driver) produce(count int) {
	d.t.Helper()
	for range count {
		data, err := d.e.Build(d.t.Context(), d.request())
		if err != nil {
			d.t.Fatal(err)
		}
		d.feed(data)
		d.log = append(d.log, data)
	}
}

func (d *driver) feed(data ...chain.ExecutionData) {
	d.t.Helper()
	for len(data) > 64 {
		d.feed(data[:64]...)
		data = data[64:]
	}
	tip := data[len(data)-1].Payload
	res, err := d.e.Import(d.t.Context(), engine.ImportRequest{
		Payloads: data, Forkchoice: &engine.Forkchoice{Head: tip.BlockHash, Safe: tip.ParentHash, Finalized: tip.ParentHash},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, s := range res.Statuses {
		if s.Verdict != engine.Valid {
			d.t.Fatalf("payload %s is %s: %s", s.Hash, s.Verdict, s.Reason)
		}
	}
	d.tip = chain.Ref{Height: tip.Number, Hash: tip.BlockHash}
	if res.Heads.Head != d.tip {
		d.t.Fatalf("head %v, want %v", res.Heads.Head, d.tip)
	}
}
