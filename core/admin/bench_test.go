package admin_test

import (
	"errors"
	"testing"

	"github.com/alys-node/alys/core/admin"
)

func TestBenchSignTellsProgressAndResult(t *testing.T) {
	c, _ := start(t, &answering{})
	var seen []admin.BenchProgress
	r, err := c.BenchSign(t.Context(), admin.BenchSignRequest{Rate: 5}, func(p admin.BenchProgress) { seen = append(seen, p) })
	if err != nil || r.Rate != 5 || len(seen) != 1 || seen[0].Part != "steady" {
		t.Errorf("got %+v, %v after %+v", r, err, seen)
	}
	_, err = c.BenchSign(t.Context(), admin.BenchSignRequest{}, func(admin.BenchProgress) {})
	if e, ok := errors.AsType[*admin.Error](err); !ok || e.Code != "invalid" {
		t.Errorf("got %v, want the node's error", err)
	}
}
