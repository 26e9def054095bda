package host

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestCancelledByNobody holds what the host makes of Cancelled against who ended the call. The plugin's side of gRPC resets
// the stream of a call whose deadline it reaches first, and that is a plugin that did not answer in time.
func TestCancelledByNobody(t *testing.T) {
	t.Parallel()
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	past, cancelPast := context.WithTimeout(t.Context(), -time.Second)
	defer cancelPast()
	near, cancelNear := context.WithTimeout(t.Context(), aheadOfUs/2)
	defer cancelNear()
	far, cancelFar := context.WithTimeout(t.Context(), time.Hour)
	defer cancelFar()
	reset := status.Error(codes.Canceled, "stream terminated by RST_STREAM with error code: CANCEL")
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want codes.Code
		text string
	}{
		{"the caller left", given, reset, codes.Canceled, "stream terminated by RST_STREAM with error code: CANCEL"},
		{"both timers rang", past, reset, codes.DeadlineExceeded, "context deadline exceeded"},
		{"only the plugin's timer rang", near, reset, codes.DeadlineExceeded, "context deadline exceeded"},
		{"long before the deadline", far, reset, codes.Unavailable, "the plugin's process has ended"},
		{"no deadline", t.Context(), reset, codes.Unavailable, "the plugin's process has ended"},
		{"another error", far, status.Error(codes.NotFound, "no such key"), codes.NotFound, "no such key"},
		{"none", past, nil, codes.OK, ""},
	} {
		got := status.Convert(uncancelled(c.ctx, c.err))
		if got.Code() != c.want || got.Message() != c.text {
			t.Errorf("%s: %s %q, want %s %q", c.name, got.Code(), got.Message(), c.want, c.text)
		}
	}
}
