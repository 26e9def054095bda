package node

import (
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/syncertest"
)

// pluginEnv makes the test's own binary a plugin: the node under test starts it as one.
const pluginEnv = "ALYS_NODE_TEST_PLUGIN"

func TestMain(m *testing.M) {
	var p lifecycle.Plugin
	switch os.Getenv(pluginEnv) {
	case "":
		os.Exit(m.Run())
	case "as-signer":
		p = newDevSigner(chain.Hash{}, 1)
	case "as-stranger":
		p = newDevSigner(chain.Hash{}, 0)
	case "as-engine":
		e, err := enginetest.NewMemory(nil)
		if err != nil {
			panic(err)
		}
		p = e
	case "as-sync":
		p = syncertest.NewMemory()
	}
	plugin.Serve(func(hclog.Logger) lifecycle.Plugin { return p })
}
