package host

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/alys-node/alys/sdk/wire"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// TestCallThatNobodyGaveUp holds what the host makes of the statuses that gRPC itself gives against who ended the call. The
// plugin's side resets the stream of a call whose deadline it reaches first; gRPC's client then says Cancelled, or
// DeadlineExceeded with the text of the reset when its own timer has rung. Both are a plugin that did not answer in time.
func TestCallThatNobodyGaveUp(t *testing.T) {
	t.Parallel()
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	past, cancelPast := context.WithTimeout(t.Context(), -time.Second)
	defer cancelPast()
	near, cancelNear := context.WithTimeout(t.Context(), aheadOfUs/2)
	defer cancelNear()
	far, cancelFar := context.WithTimeout(t.Context(), time.Hour)
	defer cancelFar()
	const reset = "stream terminated by RST_STREAM with error code: CANCEL"
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want codes.Code
		text string
	}{
		{"the caller left", given, status.Error(codes.Canceled, reset), codes.Canceled, reset},
		{"reset, then our timer rang", past, status.Error(codes.Canceled, reset), codes.DeadlineExceeded, "context deadline exceeded"},
		{"our timer rang, then reset", past, status.Error(codes.DeadlineExceeded, reset), codes.DeadlineExceeded, "context deadline exceeded"},
		{"only the plugin's timer rang", near, status.Error(codes.Canceled, reset), codes.DeadlineExceeded, "context deadline exceeded"},
		{"long before the deadline", far, status.Error(codes.Canceled, reset), codes.Unavailable, "the plugin's process has ended"},
		{"no deadline", t.Context(), status.Error(codes.Canceled, reset), codes.Unavailable, "the plugin's process has ended"},
		{"a deadline of the plugin's own", far, status.Error(codes.DeadlineExceeded, "the HSM is slow"), codes.DeadlineExceeded, "the HSM is slow"},
		{"the plugin's word, late", past, wire.EncodeError(fmt.Errorf("the HSM is slow: %w", context.DeadlineExceeded)), codes.DeadlineExceeded, "the HSM is slow: context deadline exceeded"},
		{"another error", far, status.Error(codes.NotFound, "no such key"), codes.NotFound, "no such key"},
		{"none", past, nil, codes.OK, ""},
	} {
		got := status.Convert(ended(c.ctx, c.err))
		if got.Code() != c.want || got.Message() != c.text {
			t.Errorf("%s: %s %q, want %s %q", c.name, got.Code(), got.Message(), c.want, c.text)
		}
	}
}

// hanging is a plugin that answers no question about its health.
type hanging struct {
	pluginv1.UnimplementedPluginServer
}

// Health implements pluginv1.PluginServer.
func (hanging) Health(ctx context.Context, _ *pluginv1.HealthRequest) (*pluginv1.HealthResponse, error) {
	<-ctx.Done()
	return nil, status.FromContextError(ctx.Err()).Err()
}

// TestSilentPluginIsToldTheSameWayEachTime races both sides' timers through a real connection, many times: whichever of them
// rings first, the operator reads the same.
func TestSilentPluginIsToldTheSameWayEachTime(t *testing.T) {
	t.Parallel()
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pluginv1.RegisterPluginServer(server, hanging{})
	go func() { _ = server.Serve(socket) }()
	t.Cleanup(server.Stop)
	var seen seenCodes
	c := newCalls(Name{Kind: "signer", Label: "bad"}, &seen, Timings{HealthTimeout: 20 * time.Millisecond}, 8)
	conn, err := grpc.NewClient("unix:"+socket.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(c.unary))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 25 {
				_, err := pluginv1.NewPluginClient(conn).Health(t.Context(), &pluginv1.HealthRequest{})
				if st := status.Convert(err); st.Code() != codes.DeadlineExceeded || st.Message() != "context deadline exceeded" {
					t.Errorf("told as %s %q", st.Code(), st.Message())
				}
			}
		})
	}
	wg.Wait()
	if seen.late.Load() != 400 {
		t.Errorf("%d of 400 calls were reported as late", seen.late.Load())
	}
}

// seenCodes counts calls that were reported as late.
type seenCodes struct {
	Observer
	late atomic.Int64
}

// PluginCalled implements Observer.
func (s *seenCodes) PluginCalled(c Call) {
	if c.Code == codes.DeadlineExceeded {
		s.late.Add(1)
	}
}
