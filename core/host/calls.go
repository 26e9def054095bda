package host

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// calls stands in front of every call to one process: no call without a deadline, a bounded number in flight, and each
// of them reported.
type calls struct {
	name     Name
	observer Observer
	limits   map[string]time.Duration // longest time by full method; the caller's deadline stands where it is shorter
	places   chan struct{}
	tamper   func(n Name, method string, reply any) // nil but on a development chain that is tried

	total, failed atomic.Uint64

	mu      sync.Mutex // guards flying and idle
	flying  int
	waiting []chan struct{} // closed when flying is 0
}

// shutdownMethod is go-plugin's own call to end a process; it has no deadline there.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

func newCalls(n Name, o Observer, t Timings, places int) *calls {
	return &calls{
		name: n, observer: o, places: make(chan struct{}, places),
		limits: map[string]time.Duration{
			pluginv1.Plugin_Describe_FullMethodName:  t.Start,
			pluginv1.Plugin_Schema_FullMethodName:    t.Start,
			pluginv1.Plugin_Validate_FullMethodName:  t.Start,
			pluginv1.Plugin_Configure_FullMethodName: t.Start,
			pluginv1.Plugin_Health_FullMethodName:    t.HealthTimeout,
			pluginv1.Plugin_Drain_FullMethodName:     t.Drain,
			shutdownMethod:                           t.Shutdown,
		},
	}
}

// unary is the interceptor of calls. The lifecycle needs no place among the calls in flight: a plugin that is full must
// still be asked for its health.
func (c *calls) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if most, ok := c.limits[method]; ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	if !strings.HasPrefix(method, "/alys.") {
		return next(ctx, method, req, reply, cc, opts...)
	}
	start := time.Now()
	err := ended(ctx, c.fly(ctx, method, func() error { return next(ctx, method, req, reply, cc, opts...) }))
	if err == nil && c.tamper != nil {
		c.tamper(c.name, method, reply)
	}
	c.report(method, start, err)
	return err
}

func (c *calls) fly(ctx context.Context, method string, call func() error) error {
	if strings.HasPrefix(method, "/"+pluginv1.Plugin_ServiceDesc.ServiceName+"/") {
		return call()
	}
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	c.enter()
	defer func() {
		c.leave()
		<-c.places
	}()
	return call()
}

// stream is the interceptor of streams. They have no deadline and live as long as their session; the contract behind
// them grants credits and has a watchdog.
func (c *calls) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	start := time.Now()
	s, err := next(ctx, desc, cc, method, opts...)
	err = ended(ctx, err)
	if strings.HasPrefix(method, "/alys.") {
		c.report(method, start, err)
	}
	return s, err
}

// aheadOfUs is how much earlier than the host a plugin may find the deadline of a call reached: it is sent as a duration,
// and each side has its own timer.
const aheadOfUs = 100 * time.Millisecond

// ended puts into our words what gRPC itself says of a call that ended without an answer and that nobody gave up. When the
// plugin's side reaches the deadline first it resets the stream, and gRPC tells of the reset: as Cancelled, or as
// DeadlineExceeded when our timer has rung meanwhile. And it says Cancelled of a connection that the host closed after the
// process died. Cancelled would look as if the caller had left; what a plugin itself says of a deadline stays.
func ended(ctx context.Context, err error) error {
	st := status.Convert(err)
	cancelled, late := st.Code() == codes.Canceled, st.Code() == codes.DeadlineExceeded && len(st.Details()) == 0
	if !cancelled && !late || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < aheadOfUs {
		return status.FromContextError(context.DeadlineExceeded).Err()
	}
	if late {
		return err
	}
	return status.Error(codes.Unavailable, "the plugin's process has ended")
}

func (c *calls) report(method string, start time.Time, err error) {
	code := status.Code(err)
	c.total.Add(1)
	if noAnswer(code) {
		c.failed.Add(1)
	}
	c.observer.PluginCalled(Call{
		Name: c.name, Method: strings.TrimPrefix(method, "/"), Latency: time.Since(start), Code: code,
	})
}

// noAnswer reports whether a code means that the plugin did not answer; a refusal, an unknown key or a locked signer
// are answers, and a call that the host itself gave up says nothing of the plugin.
func noAnswer(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.DataLoss, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}

func (c *calls) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying++
}

func (c *calls) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying--; c.flying == 0 {
		for _, w := range c.waiting {
			close(w)
		}
		c.waiting = nil
	}
}

// inFlight is how many calls of the kind's contract run.
func (c *calls) inFlight() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flying
}

// idle is closed as soon as no call is in flight.
func (c *calls) idle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan struct{})
	if c.flying == 0 {
		close(ch)
	} else {
		c.waiting = append(c.waiting, ch)
	}
	return ch
}
