package engineapi

import (
	"testing"
	"time"
)

// The times are those of execution-apis, src/engine, section by section.
func TestTimeouts(t *testing.T) {
	for method, want := range map[string]time.Duration{
		"engine_newPayloadV1": 8 * time.Second, "engine_newPayloadV2": 8 * time.Second, "engine_newPayloadV3": 8 * time.Second,
		"engine_newPayloadV4": 8 * time.Second, "engine_forkchoiceUpdatedV1": 8 * time.Second, "engine_forkchoiceUpdatedV2": 8 * time.Second,
		"engine_forkchoiceUpdatedV3": 8 * time.Second, "engine_getPayloadV1": time.Second, "engine_getPayloadV2": time.Second,
		"engine_getPayloadV3": time.Second, "engine_getPayloadV4": time.Second, "engine_getPayloadBodiesByHashV1": 10 * time.Second,
		"engine_exchangeCapabilities": time.Second, "engine_getClientVersionV1": time.Second,
		"eth_getBlockByNumber": ethTimeout,
	} {
		if got := timeout(method); got != want {
			t.Errorf("%s has %s, want %s", method, got, want)
		}
	}
}
