package embedded_test

import (
	"testing"

	"github.com/alys-node/alys/sdk/blackboxtest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
)

func TestBlackBox(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	blackboxtest.Run(t, blackboxtest.Options{
		Path:       plugintest.Build(t, "github.com/alys-node/alys/plugins/engine/v5"),
		Kind:       lifecycle.Engine,
		ConfigJSON: []byte(`{"mode":"embedded","cache":67108864,"archive":false,"min_free":0,"verbose":false}`),
	})
}
