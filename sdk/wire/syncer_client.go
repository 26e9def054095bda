package wire

import (
	"context"
	"errors"
	"fmt"
	"io"

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
// merely does not fit is better answered by the session with a Refused event.
func (s *StrategyClient) Run(ctx context.Context, session syncer.Session) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := s.rpc.Run(ctx)
	if err != nil {
		return s.c.decodeError("Run", err)
	}
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

func (s *StrategyClient) sendEvents(ctx context.Context, stream runStream, session syncer.Session) error {
	for {
		e, err := session.Next(ctx)
		if errors.Is(err, io.EOF) {
			return stream.CloseSend()
		}
		if err != nil {
			return fmt.Errorf("next event of the session: %w", err)
		}
		m, err := eventToRun(e)
		if err != nil {
			return fmt.Errorf("event of the session: %w", err)
		}
		if err := stream.Send(m); errors.Is(err, io.EOF) {
			return nil // the plugin ended the stream; takeOrders gets the reason
		} else if err != nil {
			return s.c.decodeError("Run", err)
		}
	}
}

func (s *StrategyClient) takeOrders(ctx context.Context, stream runStream, session syncer.Session) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.c.decodeError("Run", err)
		}
		o, err := orderFromRun(m)
		if err != nil {
			return s.c.malformed("Run", err)
		}
		if err := session.Send(ctx, o); err != nil {
			return fmt.Errorf("order of %s %q: %w", s.c.kind, s.c.label, err)
		}
	}
}
