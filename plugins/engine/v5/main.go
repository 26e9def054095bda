// Command alys-engine-v5 is the engine plugin that executes payloads to Prague with a geth in its own process. Engine API
// versions are chosen by payload timestamp; there is no Engine API port.
package main

import (
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/engine/v5/internal/embedded"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
)

func main() {
	plugin.Serve(func(log hclog.Logger) lifecycle.Plugin { return embedded.New(log) })
}
