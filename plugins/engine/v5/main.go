// Command alys-engine-v5 is the engine plugin that executes payloads to Prague, with a geth in its own process or with an
// execution client that its operator runs. Engine API versions, V2 to V4, are chosen by payload timestamp.
package main

import (
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/executor"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
)

func main() {
	plugin.Serve(func(log hclog.Logger) lifecycle.Plugin {
		return executor.New(executor.Variant{Name: "v5", Last: execution.Prague}, log)
	})
}
