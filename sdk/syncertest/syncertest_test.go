package syncertest_test

import (
	"testing"

	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/syncertest"
)

func TestMemoryConforms(t *testing.T) {
	syncertest.Run(t, syncertest.Harness{New: func(*testing.T) syncer.Strategy { return syncertest.NewMemory() }})
}

func TestMemoryConformsOverTheWire(t *testing.T) {
	syncertest.Run(t, syncertest.Harness{New: func(t *testing.T) syncer.Strategy {
		return plugintest.Serve(t, syncertest.NewMemory()).Strategy()
	}})
}
