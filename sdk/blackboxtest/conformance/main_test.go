package conformance

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/blackboxtest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signertest"
)

// started is the variable that `alys plugin test` sets. Without it this is a package without tests.
const started = "ALYS_CONFORMANCE"

// request is what is tested, and how.
type request struct {
	Path         string          `json:"path"`
	Kind         lifecycle.Kind  `json:"kind"`
	Config       json.RawMessage `json:"config"` // in clear; hence by standard input
	KeepsNothing bool            `json:"keeps_nothing"`
	KeysRefuse   []string        `json:"keys_refuse"` // import, export, remove
	CallSeconds  int             `json:"call_seconds"`
	StartSeconds int             `json:"start_seconds"`
}

func options(t *testing.T) blackboxtest.Options {
	t.Helper()
	if os.Getenv(started) == "" {
		t.Skip("started by `alys plugin test`")
	}
	var r request
	if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
		t.Fatalf("read the request: %v", err)
	}
	return blackboxtest.Options{
		Path: r.Path, Kind: r.Kind, ConfigJSON: r.Config, KeepsNothing: r.KeepsNothing,
		KeyPolicy: signertest.KeyPolicy{
			NoImport: slices.Contains(r.KeysRefuse, "import"),
			NoExport: slices.Contains(r.KeysRefuse, "export"),
			NoRemove: slices.Contains(r.KeysRefuse, "remove"),
		},
		CallTimeout: time.Duration(r.CallSeconds) * time.Second, StartTimeout: time.Duration(r.StartSeconds) * time.Second,
	}
}

func TestDescribe(t *testing.T) { blackboxtest.Describe(t, options(t)) }

func TestPlugin(t *testing.T) { blackboxtest.Run(t, options(t)) }
