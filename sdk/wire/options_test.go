package wire_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/grpc/codes"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/wire"
)

// traced remembers the trace context of its calls.
type traced struct {
	*signertest.Memory
	seen propagation.MapCarrier
}

func (s traced) Keys(ctx context.Context) ([]signer.Key, error) {
	propagation.TraceContext{}.Inject(ctx, s.seen)
	return s.Memory.Keys(ctx)
}

func TestATraceGoesOnInThePlugin(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	plugin := traced{signertest.NewMemory(chain.Hash{1}, "a"), propagation.MapCarrier{}}
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
	if _, err := plugintest.Serve(t, plugin).Signer().Keys(ctx); err != nil {
		t.Fatal(err)
	}
	if got := plugin.seen.Get("traceparent"); got != parent {
		t.Errorf("the plugin's trace parent is %q, want %q", got, parent)
	}
}

// bulky takes every transaction and has one of so many bytes.
type bulky struct {
	*enginetest.Memory

	pending int
}

func (*bulky) AddTransactions(_ context.Context, txs [][]byte) ([]engine.AddResult, error) {
	out := make([]engine.AddResult, len(txs))
	for i := range out {
		out[i].Code = engine.AddAdded
	}
	return out, nil
}

func (b *bulky) PendingTransactions(context.Context, int) ([][]byte, error) {
	return [][]byte{make([]byte, b.pending)}, nil
}

func TestMessagesAreLimitedInBothDirections(t *testing.T) {
	m, err := enginetest.NewMemory(nil)
	if err != nil {
		t.Fatal(err)
	}
	plugin := &bulky{Memory: m, pending: 32 << 20}
	var pool engine.EngineWithPool = plugintest.Serve(t, plugin).Engine()
	if _, err := pool.AddTransactions(t.Context(), [][]byte{bytes.Repeat([]byte{1}, 32<<20)}); err != nil {
		t.Errorf("32 MiB to the plugin: %v", err)
	}
	if got, err := pool.PendingTransactions(t.Context(), 1); err != nil || len(got) != 1 || len(got[0]) != 32<<20 {
		t.Errorf("32 MiB from the plugin: %d transactions, %v", len(got), err)
	}
	plugin.pending = wire.MaxMessageBytes + 1
	for name, call := range map[string]func() error{
		"to the plugin": func() error {
			_, err := pool.AddTransactions(t.Context(), [][]byte{make([]byte, wire.MaxMessageBytes+1)})
			return err
		},
		"from the plugin": func() error {
			_, err := pool.PendingTransactions(t.Context(), 1)
			return err
		},
	} {
		var failed *wire.CallError
		if err := call(); !errors.As(err, &failed) || failed.Code != codes.ResourceExhausted {
			t.Errorf("more than %d bytes %s: got error %v, want %s", wire.MaxMessageBytes, name, err, codes.ResourceExhausted)
		}
	}
}
