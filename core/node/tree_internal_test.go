package node

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/telemetry"
)

func newTestTree() *tree { return newTree(telemetry.New("v", "c"), hclog.NewNullLogger()) }

func (t *tree) statusOf(name string) admin.ServiceStatus {
	for _, s := range t.status() {
		if s.Name == name {
			return s
		}
	}
	return admin.ServiceStatus{}
}

var errDisk = errors.New("disk is gone")

func TestServiceThatPanicsOrFailsIsStartedAgainAlone(t *testing.T) {
	tree := newTestTree()
	ctx, cancel := context.WithCancel(t.Context())
	starts, third, walletStarts := 0, make(chan struct{}), 0
	metrics := func(ctx context.Context) error {
		starts++
		switch starts {
		case 1:
			panic("nil map")
		case 2:
			return errDisk
		}
		close(third)
		<-ctx.Done()
		return nil
	}
	wallet := func(ctx context.Context) error { walletStarts++; <-ctx.Done(); return nil }
	done := tree.run(ctx, []*part{tree.has(serviceMetrics, metrics), tree.has(serviceWallet, wallet)})
	<-third
	got := tree.statusOf(serviceMetrics)
	if got.State != partRunning || got.Restarts != 2 || got.Panics != 1 || got.LastError != errDisk.Error() || got.Group != admin.GroupServices {
		t.Errorf("metrics is %+v", got)
	}
	for name, want := range map[string]float64{serviceMetrics: 2, serviceWallet: 0} {
		if got := testutil.ToFloat64(tree.metrics.ServiceRestarts.WithLabelValues(name)); got != want {
			t.Errorf("%s: %v restarts counted, want %v", name, got, want)
		}
	}
	if got := testutil.ToFloat64(tree.metrics.ServicePanics.WithLabelValues(serviceMetrics)); got != 1 {
		t.Errorf("%v panics counted, want 1", got)
	}
	cancel()
	<-done
	if walletStarts != 1 {
		t.Errorf("the wallet was started %d times for what metrics did", walletStarts)
	}
	if got := tree.statusOf(serviceWallet); got.State != partStopped || got.LastError != "" {
		t.Errorf("after the stop the wallet is %+v", got)
	}
}

func TestStageEndsWithAnErrorThatNamesWhy(t *testing.T) {
	tree := newTestTree()
	for name, c := range map[string]struct {
		run  func(context.Context) error
		want error
	}{
		"an error":     {func(context.Context) error { return errDisk }, errDisk},
		"a panic":      {func(context.Context) error { panic(errDisk) }, errPanicked},
		"an early end": {func(context.Context) error { return nil }, errEnded},
		"a fault":      {func(context.Context) error { return []error{nil}[len(tree.parts)] }, errPanicked},
	} {
		t.Run(name, func(t *testing.T) {
			p := tree.has(stageSwap, c.run)
			if err := p.Serve(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := tree.statusOf(stageSwap); got.State != partStopped || got.LastError == "" {
				t.Errorf("the stage is %+v", got)
			}
		})
	}
}
