package executor_test

import (
	"testing"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/executor"
	"github.com/alys-node/alys/plugins/internal/executortest"
)

func variants() []executor.Variant {
	return []executor.Variant{{Name: "v4", Last: execution.Shanghai}, {Name: "v5", Last: execution.Prague}}
}

// TestEmbeddedConforms runs the contract's suite in this process; the built-ins' own tests run it on their binaries.
func TestEmbeddedConforms(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.Name, executortest.Subject{Variant: v}.Embedded)
	}
}
