// Command alys-engine-v4 is the engine plugin that executes payloads to Shanghai, with a geth in its own process or with
// an execution client that its operator runs, over Engine API V2 alone. From the chain's Cancun time on it refuses
// every payload.
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
		return executor.New(executor.Variant{Name: "v4", Last: execution.Shanghai}, log)
	})
}
