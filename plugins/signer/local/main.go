// Command alys-signer-local is the signer plugin that keeps its keys in EIP-2335 keystores on this machine. It holds keys
// and does nothing else: no network, no chain.
package main

import (
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/signer/local/internal/local"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
)

func main() {
	plugin.Serve(func(log hclog.Logger) lifecycle.Plugin { return local.New(log) })
}
