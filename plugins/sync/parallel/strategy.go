package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/alys-node/alys/sdk/syncer"
)

// lookAround is how often the strategy looks for batches that take too long.
const lookAround = 100 * time.Millisecond

// Run implements syncer.Strategy.
func (p *parallel) Run(ctx context.Context, s syncer.Session) error {
	set := defaults()
	if configured := p.settings.Load(); configured != nil {
		set = *configured
	}
	inner, cancel := context.WithCancel(ctx)
	events, ended := make(chan syncer.Event), make(chan error, 1)
	go func() { ended <- forward(inner, s, events) }()
	defer func() {
		cancel()
		<-ended
	}()
	tick := time.NewTicker(lookAround)
	defer tick.Stop()
	v := newView(set)
	for {
		select {
		case e := <-events:
			v.see(e, time.Now())
		case <-tick.C:
		case err := <-ended:
			ended <- err // for the deferred wait
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		for {
			o, ok := v.decide(time.Now())
			if !ok {
				break
			}
			p.orders.Add(1)
			if err := s.Send(ctx, o); err != nil {
				return err
			}
		}
	}
}

// forward hands on the events of a session until it ends.
func forward(ctx context.Context, s syncer.Session, to chan<- syncer.Event) error {
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case to <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
