package route_test

import (
	"context"
	"testing"

	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/sdk/chain"
)

// BenchmarkCall is what a route adds to a call.
func BenchmarkCall(b *testing.B) {
	ok := func(context.Context, *plugin) (string, error) { return "", nil }
	for name, p := range map[string]positions{
		"single":   {Primary: newPlugin("a")},
		"fallback": {Primary: newPlugin("a"), Fallback: newPlugin("b")},
	} {
		b.Run(name, func(b *testing.B) {
			r := route.New[*plugin](route.Options{Name: "signer"})
			if err := r.Set(p); err != nil {
				b.Fatal(err)
			}
			slot := chain.Slot(1)
			for b.Loop() {
				if _, err := route.Call(b.Context(), r, route.Request{Slot: &slot}, ok, route.Opts[string]{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
