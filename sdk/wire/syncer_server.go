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

// syncerServer serves a strategy: one stream is one session.
type syncerServer struct {
	syncerv1.UnimplementedSyncerServer
	s syncer.Strategy
}

type sessionStream = grpc.BidiStreamingServer[syncerv1.RunRequest, syncerv1.RunResponse]

func (s *syncerServer) Run(stream sessionStream) error {
	session := newRemoteSession(stream)
	defer close(session.done)
	go session.read()
	return EncodeError(s.s.Run(stream.Context(), session))
}

// incoming is one event, or the end of the events.
type incoming struct {
	event syncer.Event
	err   error
}

// remoteSession is the plugin's side of a session. It keeps count of the credits and knows the epoch, so that an order
// without credit fails in the plugin, where its author sees it, and never reaches the host.
type remoteSession struct {
	stream sessionStream
	in     chan incoming
	done   chan struct{} // closed when Run returns

	mu      sync.Mutex // guards the rest, and Send on the stream
	epoch   syncer.Epoch
	started bool
	credits uint64
	ended   error // what Next returns from now on
}

func newRemoteSession(stream sessionStream) *remoteSession {
	return &remoteSession{stream: stream, in: make(chan incoming), done: make(chan struct{})}
}

// read feeds Next, so that Next can end with a context shorter than the stream's. It ends with the stream, which gRPC
// ends when Run returns; a handler cannot wait for its own stream's end, so nobody waits for read.
func (s *remoteSession) read() {
	for {
		m, err := s.stream.Recv()
		in := incoming{err: err}
		if err == nil {
			in.event, in.err = eventFromRun(m)
			if in.err != nil {
				in.err = badRequest(in.err)
			}
		}
		select {
		case s.in <- in:
		case <-s.done:
			return
		}
		if in.err != nil {
			return
		}
	}
}

// Next implements syncer.Session. An event that says nothing to this SDK and grants no credit is left out.
func (s *remoteSession) Next(ctx context.Context) (syncer.Event, error) {
	for {
		s.mu.Lock()
		ended := s.ended
		s.mu.Unlock()
		if ended != nil {
			return syncer.Event{}, ended
		}
		select {
		case in := <-s.in:
			if e, err := s.took(in); err != nil || e != (syncer.Event{Epoch: e.Epoch}) {
				return e, err
			}
		case <-ctx.Done():
			return syncer.Event{}, ctx.Err()
		}
	}
}

func (s *remoteSession) took(in incoming) (syncer.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case in.err == nil && !s.started && in.event.Snapshot == nil:
		in.err = badRequest(errors.New("the first event of a session is not a snapshot"))
	case in.err == nil && s.started && in.event.Epoch != s.epoch:
		in.err = badRequest(fmt.Errorf("event of epoch %d in epoch %d", in.event.Epoch, s.epoch))
	}
	if in.err != nil {
		s.ended = in.err
		if errors.Is(in.err, io.EOF) {
			s.ended = io.EOF
		}
		return syncer.Event{}, s.ended
	}
	s.started, s.epoch = true, in.event.Epoch
	s.credits += uint64(in.event.Credits)
	return in.event, nil
}

// Send implements syncer.Session.
func (s *remoteSession) Send(ctx context.Context, o syncer.Order) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m, err := orderToRun(o)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.started:
		return fmt.Errorf("order before the snapshot: %w", syncer.ErrBadOrder)
	case o.Epoch != s.epoch:
		return fmt.Errorf("epoch %d, session has %d: %w", o.Epoch, s.epoch, syncer.ErrStaleEpoch)
	case s.credits == 0:
		return syncer.ErrNoCredit
	}
	s.credits--
	if err := s.stream.Send(m); err != nil {
		return fmt.Errorf("send order: %w", err)
	}
	return nil
}
