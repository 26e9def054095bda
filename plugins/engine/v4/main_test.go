package main

import (
	"testing"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/executor"
	"github.com/alys-node/alys/plugins/internal/executortest"
	"github.com/alys-node/alys/sdk/plugintest"
)

// TestProcess drives the compiled plugin over gRPC, with geth inside and on a geth process.
func TestProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the plugin and starts processes")
	}
	s := executortest.Subject{
		Variant: executor.Variant{Name: "v4", Last: execution.Shanghai},
		Path:    plugintest.Build(t, "github.com/alys-node/alys/plugins/engine/v4"),
	}
	t.Run("embedded, it keeps the contract", s.Embedded)
	t.Run("external, it keeps the contract", s.External)
	t.Run("embedded, it replays go-ethereum's own calls", s.PublishedEmbedded)
	t.Run("external, it replays go-ethereum's own calls", s.PublishedExternal)
	t.Run("a client comes and goes", s.ClientComesAndGoes)
	t.Run("a client that starts later is waited for", s.ClientIsAway)
	t.Run("a client that is the wrong one is refused in words", s.WrongClient)
	t.Run("a client with another gas limit is told apart", s.GasLimit)
	t.Run("a payload is asked for late", s.LateAnswer)
	t.Run("a killed process comes back and is caught up", s.KilledProcess)
	t.Run("wallets reach it while blocks go on", s.WalletBesideBlocks)
	t.Run("two processes cannot share a folder", s.TwoProcesses)
}
