// Command liar is an engine plugin for tests of migrations: the built-in engine to Prague, which says the truth until a file
// tells it to lie. So it is admitted like any other, and lies from the moment that a test chooses.
package main

import (
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/executor"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
)

func main() {
	plugin.Serve(func(log hclog.Logger) lifecycle.Plugin {
		return &liar{twins: map[chain.Hash]chain.ExecutionData{}, Plugin: executor.New(executor.Variant{Name: "liar", Last: execution.Prague}, log)}
	})
}
