package main

import (
	"testing"

	"github.com/alys-node/alys/sdk/blackboxtest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

func TestConformanceCompiled(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the plugin")
	}
	path := plugintest.Build(t, "github.com/alys-node/alys/plugins/sync/parallel")
	client := plugintest.Start(t, plugintest.Options{Path: path, Kind: lifecycle.Sync})
	syncertest.Run(t, syncertest.Harness{New: func(*testing.T) syncer.Strategy { return client.Strategy() }})
}

func TestConformanceInProcess(t *testing.T) {
	syncertest.Run(t, syncertest.Harness{New: func(t *testing.T) syncer.Strategy { return plugintest.Serve(t, &parallel{}).Strategy() }})
}

func TestValidateNamesTheAttribute(t *testing.T) {
	for attribute, config := range map[string]string{
		"max_batch": `{"max_batch":1025}`, "batches_per_peer": `{"batches_per_peer":0}`, "window": `{"window":1}`,
	} {
		ds := (&parallel{}).Validate(t.Context(), lifecycle.Config{JSON: []byte(config)})
		if !ds.HasErrors() || len(ds[0].Path) != 1 || ds[0].Path[0] != attribute {
			t.Errorf("%s: %v, want an error at %s", config, ds, attribute)
		}
	}
	p := &parallel{}
	if err := p.Configure(t.Context(), lifecycle.Config{JSON: []byte(`{"max_batch":7,"window":2097152,"hedge":false,"scoring":false}`)}); err != nil {
		t.Fatal(err)
	}
	if got, want := *p.settings.Load(), (settings{MaxBatch: 7, BatchesPerPeer: 2, Window: 2 << 20}); got != want {
		t.Errorf("settings %+v, want %+v", got, want)
	}
	if err := p.Configure(t.Context(), lifecycle.Config{JSON: []byte(`{"max_batch":0}`)}); err == nil {
		t.Error("a wrong setting is taken")
	}
}

func TestBlackBox(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	blackboxtest.Run(t, blackboxtest.Options{
		Path:       plugintest.Build(t, "github.com/alys-node/alys/plugins/sync/parallel"),
		Kind:       lifecycle.Sync,
		ConfigJSON: []byte(`{"max_batch":512,"batches_per_peer":2,"window":67108864,"hedge":true,"scoring":true}`),
	})
}
