package syncertest

import (
	"context"
	"errors"
	"io"

	"github.com/alys-node/alys/sdk/syncer"
)

// Silent takes events and never gives an order: what a host's watchdog is for.
type Silent struct{ *Memory }

// Run implements syncer.Strategy.
func (Silent) Run(ctx context.Context, s syncer.Session) error {
	for {
		if _, err := s.Next(ctx); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Failing ends every session with an error after so many events.
type Failing struct {
	*Memory
	After int
	Err   error
}

// Run implements syncer.Strategy.
func (f Failing) Run(ctx context.Context, s syncer.Session) error {
	for range f.After {
		if _, err := s.Next(ctx); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return f.Err
}

// Wild answers every event with an order that does not fit: a peer and heights that do not exist.
type Wild struct{ *Memory }

// Run implements syncer.Strategy.
func (Wild) Run(ctx context.Context, s syncer.Session) error {
	for id := syncer.BatchID(1); ; id++ {
		e, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		order := syncer.Order{Epoch: e.Epoch, Assign: &syncer.Assign{
			Batch: id, Range: syncer.Range{From: 1 << 40, To: 1<<40 + 9}, Peer: "a peer that does not exist",
		}}
		if err := s.Send(ctx, order); err != nil && !errors.Is(err, syncer.ErrNoCredit) {
			return err
		}
	}
}
