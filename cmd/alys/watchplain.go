package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/chain"
)

// syncLineEvery is how often a node that is behind tells how far it is.
const syncLineEvery = 5 * time.Second

// reporter prints what is new as lines, for logs and scripts.
type reporter struct {
	out  io.Writer
	json bool

	began  bool
	next   chain.Slot // the first that was not told
	away   bool       // the node did not answer last time
	behind bool       // the node was behind last time
	synced time.Time  // when sync was told last
}

// line is one line: a slot, how far sync is, or that the node is away.
type line struct {
	Time time.Time `json:"time"`
	*admin.SlotStatus
	Head  *chain.Ref        `json:"head,omitempty"`
	Safe  *chain.Ref        `json:"safe,omitempty"`
	Sync  *admin.SyncStatus `json:"sync,omitempty"`
	Error string            `json:"error,omitempty"`
}

// show prints what s has that was not told before.
func (r *reporter) show(s sight) error {
	if s.err != nil {
		if r.away {
			return nil
		}
		r.away = true
		return r.print(line{Time: s.at, Error: s.err.Error()}, "node does not answer, trying again: "+awayText(s.err))
	}
	var errs []error
	if r.away {
		r.away = false
		if !r.json { // there, the next object says it
			errs = append(errs, r.print(line{Time: s.at}, "node answers again"))
		}
	}
	errs = append(errs, r.sync(s), r.slots(s))
	return errors.Join(errs...)
}

// sync tells how far a node is that is behind, now and then, and once when it has caught up.
func (r *reporter) sync(s sight) error {
	behind := s.status.Sync.Cursor < s.status.Sync.Target
	ended := r.behind && !behind
	r.behind = behind
	if !ended && (!behind || s.at.Sub(r.synced) < syncLineEvery) {
		return nil
	}
	text := "sync " + syncText(s.status.Sync)
	if r.synced = s.at; ended {
		r.synced, text = time.Time{}, "in sync"
	}
	return r.print(line{Time: s.at, Sync: &s.status.Sync}, text)
}

// slots tells the slots that are settled: one with a block when it is over, or at once when every authority has approved.
func (r *reporter) slots(s sight) error {
	now := s.slots.Slot
	if !r.began || r.next > now+1 { // at first, and after a clock that went back
		r.began, r.next = true, max(now, 1)-1
	}
	for _, x := range s.slots.Slots {
		complete := len(x.Approvals) == x.Authorities || x.Slot < now
		switch {
		case x.Slot < r.next:
			continue
		case x.State == admin.SlotMissed, x.State == admin.SlotNotarized && complete:
		default:
			return nil // the order of slots is kept
		}
		r.next = x.Slot + 1
		what := fmt.Sprintf("block %-7d", x.Height)
		if x.State == admin.SlotMissed {
			what = "missed       "
		}
		text := fmt.Sprintf("slot %d  %s  author %d  approvals %d of %d  head %d  safe %d",
			x.Slot, what, x.Author, len(x.Approvals), x.Authorities, s.status.Head.Height, s.status.Safe.Height)
		if err := r.print(line{Time: s.at, SlotStatus: &x, Head: &s.status.Head, Safe: &s.status.Safe}, text); err != nil {
			return err
		}
	}
	return nil
}

func (r *reporter) print(l line, text string) error {
	if r.json {
		return json.NewEncoder(r.out).Encode(l)
	}
	_, err := fmt.Fprintf(r.out, "%s  %s\n", l.Time.Format(time.TimeOnly), text)
	return err
}

// awayText says in short why the node does not answer.
func awayText(err error) string {
	if errors.Is(err, admin.ErrNoNode) {
		return admin.ErrNoNode.Error()
	}
	return err.Error()
}
