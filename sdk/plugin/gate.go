package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
)

// gate enforces the order of the lifecycle for every call. It knows nothing of the plugin behind it.
type gate struct {
	drainStarted chan struct{} // closed when Drain was called
	drainDone    chan struct{} // closed when Drain has ended
	idle         chan struct{} // closed when Drain was called and no call runs

	mu       sync.Mutex // guards the rest
	state    state
	failure  string // why Configure failed
	running  int    // calls of the kind's methods
	draining bool
	drainErr error
}

// state is how far the lifecycle has come, Drain apart.
type state uint8

const (
	fresh state = iota
	configuring
	configured
	broken // Configure failed
)

func newGate() *gate {
	return &gate{drainStarted: make(chan struct{}), drainDone: make(chan struct{}), idle: make(chan struct{})}
}

// unary is the interceptor of calls.
func (g *gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	switch info.FullMethod {
	case pluginv1.Plugin_Configure_FullMethodName:
		return g.configure(ctx, req, next)
	case pluginv1.Plugin_Health_FullMethodName:
		if answer := g.ownHealth(); answer != nil {
			return answer, nil
		}
		return next(ctx, req)
	case pluginv1.Plugin_Drain_FullMethodName:
		err := g.drain(ctx, func(ctx context.Context) error {
			_, err := next(ctx, req)
			return err
		})
		return &pluginv1.DrainResponse{}, err
	}
	if !ofKind(info.FullMethod) {
		return next(ctx, req)
	}
	if err := g.enter(); err != nil {
		return nil, wire.EncodeError(err)
	}
	defer g.leave()
	return next(ctx, req)
}

// stream is the interceptor of streams. A stream has no end of its own, so Drain ends its context.
func (g *gate) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !ofKind(info.FullMethod) {
		return next(srv, ss)
	}
	if err := g.enter(); err != nil {
		return wire.EncodeError(err)
	}
	defer g.leave()
	ctx, cancel := context.WithCancelCause(ss.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-g.drainStarted:
			cancel(lifecycle.ErrDraining)
		case <-ctx.Done():
		}
	}()
	err := next(srv, &streamWithContext{ss, ctx})
	if err != nil && errors.Is(context.Cause(ctx), lifecycle.ErrDraining) {
		return wire.EncodeError(fmt.Errorf("session ended: %w", lifecycle.ErrDraining))
	}
	return err
}

type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // gRPC's own way to replace a stream's context
}

// Context is the stream's context, which Drain ends.
func (s *streamWithContext) Context() context.Context { return s.ctx }

// ofKind reports whether a method belongs to a kind's contract, as opposed to the lifecycle or to go-plugin itself.
func ofKind(method string) bool {
	return strings.HasPrefix(method, "/alys.") && !strings.HasPrefix(method, "/"+pluginv1.Plugin_ServiceDesc.ServiceName+"/")
}

func (g *gate) configure(ctx context.Context, req any, next grpc.UnaryHandler) (any, error) {
	g.mu.Lock()
	var err error
	switch {
	case g.draining:
		err = lifecycle.ErrDraining
	case g.state != fresh:
		err = lifecycle.ErrConfigured
	default:
		g.state = configuring
	}
	g.mu.Unlock()
	if err != nil {
		return nil, wire.EncodeError(err)
	}
	resp, err := next(ctx, req)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.state, g.failure = broken, err.Error()
		return nil, err
	}
	g.state = configured
	return resp, nil
}

// ownHealth answers for a plugin that cannot: one that is not up, or going down. It is nil when the plugin is asked.
func (g *gate) ownHealth() *pluginv1.HealthResponse {
	g.mu.Lock()
	defer g.mu.Unlock()
	answer := func(s lifecycle.State, message string) *pluginv1.HealthResponse {
		return &pluginv1.HealthResponse{State: string(s), Message: message}
	}
	switch {
	case g.draining:
		return answer(lifecycle.Draining, "")
	case g.state == fresh:
		return answer(lifecycle.Starting, "not configured")
	case g.state == configuring:
		return answer(lifecycle.Starting, "being configured")
	case g.state == broken:
		return answer(lifecycle.Failed, "configure: "+g.failure)
	}
	return nil
}

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining {
		return lifecycle.ErrDraining
	}
	if g.state != configured {
		return lifecycle.ErrNotConfigured
	}
	g.running++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if g.draining && g.running == 0 {
		close(g.idle)
	}
}

// drain refuses new calls, waits for those that run (until ctx ends) and then lets the plugin flush, once. A plugin
// that never got Configure has nothing to flush. Later calls wait for the first and get its result.
func (g *gate) drain(ctx context.Context, flush func(context.Context) error) error {
	g.mu.Lock()
	first, wasConfigured := !g.draining, g.state == configured
	if first {
		g.draining = true
		close(g.drainStarted)
		if g.running == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	if !first {
		select {
		case <-g.drainDone:
			return g.drainErr // written before drainDone was closed
		case <-ctx.Done():
			return wire.EncodeError(ctx.Err())
		}
	}
	defer close(g.drainDone)
	if !wasConfigured {
		return nil
	}
	var waited error
	select {
	case <-g.idle:
	case <-ctx.Done():
		waited = wire.EncodeError(fmt.Errorf("calls still run: %w", ctx.Err()))
	}
	g.drainErr = flush(ctx)
	if waited != nil {
		g.drainErr = waited
	}
	return g.drainErr
}

// drainAsked reports whether the node has asked to drain: from then on the process may be signalled.
func (g *gate) drainAsked() bool {
	select {
	case <-g.drainStarted:
		return true
	default:
		return false
	}
}
