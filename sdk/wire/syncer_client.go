package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire/syncerv1"
)

// StrategyClient is a sync strategy behind the wire.
type StrategyClient struct {
	c   *Client
	rpc syncerv1.SyncerClient
}

var _ syncer.Strategy = (*StrategyClient)(nil)

type runStream = grpc.BidiStreamingClient[syncerv1.RunRequest, syncerv1.RunResponse]

// Run implements syncer.Strategy: it carries the session's events to the plugin and the plugin's orders to the session.
// It has no deadline. An order that the session's Send refuses with an error ends the run with that error; one that
// merely does not fit is better answered by the session with a Refused event. An order of an unknown kind never reaches
// the session: it is answered here with Refused, and gets its credit back.
func (s *StrategyClient) Run(ctx context.Context, session syncer.Session) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rpc, err := s.rpc.Run(ctx)
	if err != nil {
		return s.c.decodeError("Run", err)
	}
	stream := &eventStream{runStream: rpc}
	events := make(chan error, 1)
	go func() {
		err := s.sendEvents(ctx, stream, session)
		if err != nil {
			cancel(err) // also ends takeOrders
		}
		events <- err
	}()
	ordersErr := s.takeOrders(ctx, stream, session)
	cancel(errRunEnded) // no effect when the events failed first
	eventsErr := <-events
	if eventsErr != nil && !errors.Is(context.Cause(ctx), errRunEnded) {
		return eventsErr
	}
	return ordersErr
}

// errRunEnded stops the events when the plugin or an order has ended the run.
var errRunEnded = errors.New("run ended")

// eventStream is a stream that two goroutines send events on.
type eventStream struct {
	runStream
	mu     sync.Mutex // guards the rest, and Send on the stream
	epoch  uint64     // of the session's last event
	closed bool       // the session has ended: nothing may be sent any more
}

func (s *eventStream) closeEvents() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.CloseSend()
}

func (s *eventStream) sendEvent(m *syncerv1.RunRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = m.GetEpoch()
	return s.Send(m)
}

// refuse answers an order that the session never sees.
func (s *eventStream) refuse(m *syncerv1.RunResponse, reason error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	return s.Send(&syncerv1.RunRequest{Epoch: s.epoch, Credits: 1, Event: &syncerv1.RunRequest_Refused{
		Refused: &syncerv1.Refused{Sequence: m.GetSequence(), Reason: reason.Error()},
	}})
}

func (s *StrategyClient) sendEvents(ctx context.Context, stream *eventStream, session syncer.Session) error {
	for {
		e, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			return stream.closeEvents()
		}
		if err != nil {
			return fmt.Errorf("next event of the session: %w", err)
		}
		m, err := eventToRun(e)
		if err != nil {
			return fmt.Errorf("event of the session: %w", err)
		}
		if err := stream.sendEvent(m); errors.Is(err, io.EOF) {
			return nil // the plugin ended the stream; takeOrders gets the reason
		} else if err != nil {
			return s.c.decodeError("Run", err)
		}
	}
}

func (s *StrategyClient) takeOrders(ctx context.Context, stream *eventStream, session syncer.Session) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.c.decodeError("Run", err)
		}
		o, err := orderFromRun(m)
		if errors.Is(err, errUnknownOrder) {
			// A failed Send is told by the Recv that follows it, with the plugin's own error.
			if err := stream.refuse(m, err); err != nil && !errors.Is(err, io.EOF) {
				return s.c.decodeError("Run", err)
			}
			continue
		}
		if err != nil {
			return s.c.malformed("Run", err)
		}
		if err := session.Send(ctx, o); err != nil {
			return fmt.Errorf("order of %s %q: %w", s.c.kind, s.c.label, err)
		}
	}
}
