package main

import (
	"testing"

	"github.com/alys-node/alys/sdk/blackboxtest"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

func TestConformanceCompiled(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the plugin")
	}
	path := plugintest.Build(t, "github.com/alys-node/alys/plugins/sync/sequential")
	client := plugintest.Start(t, plugintest.Options{Path: path, Kind: lifecycle.Sync})
	syncertest.Run(t, syncertest.Harness{New: func(*testing.T) syncer.Strategy { return client.Strategy() }})
}

func TestConformanceInProcess(t *testing.T) {
	syncertest.Run(t, syncertest.Harness{New: func(t *testing.T) syncer.Strategy { return plugintest.Serve(t, &sequential{}).Strategy() }})
}

// One peer, one range at a time: nothing is ordered while a download runs.
func TestNothingIsOrderedBesideADownload(t *testing.T) {
	v := view{size: 10, peers: map[syncer.PeerID]syncer.Peer{}, live: map[syncer.BatchID]syncer.Batch{}, failures: map[syncer.PeerID]int{}}
	v.see(syncer.Event{Epoch: 1, Credits: 9, Snapshot: &syncer.Snapshot{Target: 30, Peers: []syncer.Peer{
		{ID: "slow", BytesPerSecond: 1, Head: ref(30)}, {ID: "fast", BytesPerSecond: 9, Head: ref(30)},
	}}})
	o, ok := v.decide()
	if !ok || o.Assign == nil || o.Assign.Peer != "fast" || o.Assign.Range != (syncer.Range{From: 1, To: 10}) {
		t.Fatalf("first order %+v %v, want heights 1 to 10 of the fast peer", o.Assign, ok)
	}
	if o, ok := v.decide(); ok {
		t.Errorf("a second order while the first is under way: %+v", o)
	}
	v.see(syncer.Event{Epoch: 1, Batch: &syncer.Batch{ID: 1, Range: o.Assign.Range, Peer: "fast", State: syncer.BatchFailed}})
	if o, ok := v.decide(); !ok || o.Assign.Peer != "slow" {
		t.Errorf("after a failure %+v %v, want the other peer", o.Assign, ok)
	}
}

func TestValidateNamesTheAttribute(t *testing.T) {
	for _, batch := range []string{"0", "1025"} {
		ds := (&sequential{}).Validate(t.Context(), lifecycle.Config{JSON: []byte(`{"batch":` + batch + `}`)})
		if !ds.HasErrors() || len(ds[0].Path) != 1 || ds[0].Path[0] != "batch" {
			t.Errorf("batch %s: %v, want an error at batch", batch, ds)
		}
	}
}

func ref(h chain.Height) chain.Ref { return chain.Ref{Height: h} }

func TestBlackBox(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	blackboxtest.Run(t, blackboxtest.Options{
		Path:       plugintest.Build(t, "github.com/alys-node/alys/plugins/sync/sequential"),
		Kind:       lifecycle.Sync,
		ConfigJSON: []byte(`{"batch":128}`),
	})
}
