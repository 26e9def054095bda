package wire

import (
	"errors"
	"fmt"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/syncer"
	"github.com/alys-node/alys/sdk/wire/syncerv1"
)

func eventToRun(e syncer.Event) (*syncerv1.RunRequest, error) {
	m := &syncerv1.RunRequest{Epoch: uint64(e.Epoch), Credits: e.Credits}
	set := 0
	if s := e.Snapshot; s != nil {
		set++
		m.Event = &syncerv1.RunRequest_Snapshot{Snapshot: &syncerv1.Snapshot{
			Cursor: uint64(s.Cursor), Target: uint64(s.Target),
			Peers: each(s.Peers, peerToProto), Batches: each(s.Batches, batchToProto),
		}}
	}
	if e.Peer != nil {
		set++
		m.Event = &syncerv1.RunRequest_Peer{Peer: peerToProto(*e.Peer)}
	}
	if e.Batch != nil {
		set++
		m.Event = &syncerv1.RunRequest_Batch{Batch: batchToProto(*e.Batch)}
	}
	if t := e.Tip; t != nil {
		set++
		m.Event = &syncerv1.RunRequest_Tip{Tip: &syncerv1.Tip{Cursor: uint64(t.Cursor), Target: uint64(t.Target)}}
	}
	if p := e.Pressure; p != nil {
		set++
		m.Event = &syncerv1.RunRequest_Pressure{Pressure: &syncerv1.Pressure{
			BufferedBytes: p.BufferedBytes, BufferLimit: p.BufferLimit, ImportPerSecond: p.ImportPerSecond,
		}}
	}
	if r := e.Refused; r != nil {
		set++
		m.Event = &syncerv1.RunRequest_Refused{Refused: &syncerv1.Refused{
			Sequence: r.Sequence, Batch: uint64(r.Batch), Reason: r.Reason,
		}}
	}
	if set > 1 {
		return nil, fmt.Errorf("event has %d parts, want at most 1", set)
	}
	return m, nil
}

// eventFromRun reads an event. One of a kind or about a batch in a state that this SDK does not know has only its
// credits.
func eventFromRun(m *syncerv1.RunRequest) (syncer.Event, error) {
	e := syncer.Event{Epoch: syncer.Epoch(m.GetEpoch()), Credits: m.GetCredits()}
	switch v := m.GetEvent().(type) {
	case *syncerv1.RunRequest_Snapshot:
		s, err := snapshotFromProto(v.Snapshot)
		e.Snapshot = s
		return e, err
	case *syncerv1.RunRequest_Peer:
		p, err := peerFromProto(v.Peer)
		e.Peer = &p
		return e, err
	case *syncerv1.RunRequest_Batch:
		if b, known := batchFromProto(v.Batch); known {
			e.Batch = &b
		}
	case *syncerv1.RunRequest_Tip:
		e.Tip = &syncer.Tip{Cursor: chain.Height(v.Tip.GetCursor()), Target: chain.Height(v.Tip.GetTarget())}
	case *syncerv1.RunRequest_Pressure:
		e.Pressure = &syncer.Pressure{
			BufferedBytes:   v.Pressure.GetBufferedBytes(),
			BufferLimit:     v.Pressure.GetBufferLimit(),
			ImportPerSecond: v.Pressure.GetImportPerSecond(),
		}
	case *syncerv1.RunRequest_Refused:
		e.Refused = &syncer.Refused{
			Sequence: v.Refused.GetSequence(), Batch: syncer.BatchID(v.Refused.GetBatch()), Reason: v.Refused.GetReason(),
		}
	}
	return e, nil
}

func snapshotFromProto(m *syncerv1.Snapshot) (*syncer.Snapshot, error) {
	if err := errors.Join(
		atMost("peers", len(m.GetPeers()), maxPeers),
		atMost("batches", len(m.GetBatches()), maxBatches),
	); err != nil {
		return nil, err
	}
	peers, err := convert("peer", m.GetPeers(), peerFromProto)
	if err != nil {
		return nil, err
	}
	var batches []syncer.Batch
	for _, p := range m.GetBatches() {
		if b, known := batchFromProto(p); known {
			batches = append(batches, b)
		}
	}
	return &syncer.Snapshot{
		Cursor: chain.Height(m.GetCursor()), Target: chain.Height(m.GetTarget()), Peers: peers, Batches: batches,
	}, nil
}

func peerToProto(p syncer.Peer) *syncerv1.Peer {
	return &syncerv1.Peer{
		Id: string(p.ID), Group: p.Group,
		Head: &syncerv1.Ref{Height: uint64(p.Head.Height), Hash: p.Head.Hash[:]},
		Low:  uint64(p.Low), LatencyMillis: p.LatencyMillis, BytesPerSecond: p.BytesPerSecond,
		Served: p.Served, Failed: p.Failed, Authority: p.Authority, Gone: p.Gone,
	}
}

func peerFromProto(m *syncerv1.Peer) (syncer.Peer, error) {
	head, err := fixedBytes[chain.Hash]("head", m.GetHead().GetHash())
	return syncer.Peer{
		ID: syncer.PeerID(m.GetId()), Group: m.GetGroup(),
		Head: chain.Ref{Height: chain.Height(m.GetHead().GetHeight()), Hash: head},
		Low:  chain.Height(m.GetLow()), LatencyMillis: m.GetLatencyMillis(), BytesPerSecond: m.GetBytesPerSecond(),
		Served: m.GetServed(), Failed: m.GetFailed(), Authority: m.GetAuthority(), Gone: m.GetGone(),
	}, err
}

func rangeToProto(r syncer.Range) *syncerv1.Range {
	return &syncerv1.Range{From: uint64(r.From), To: uint64(r.To)}
}

func rangeFromProto(m *syncerv1.Range) syncer.Range {
	return syncer.Range{From: chain.Height(m.GetFrom()), To: chain.Height(m.GetTo())}
}

func batchToProto(b syncer.Batch) *syncerv1.Batch {
	return &syncerv1.Batch{
		Id: uint64(b.ID), Range: rangeToProto(b.Range), Peer: string(b.Peer), State: string(b.State),
		HedgeOf: uint64(b.HedgeOf), Bytes: b.Bytes, Millis: b.Millis, Blame: b.Blame, Reason: b.Reason,
	}
}

// batchFromProto reads a batch; known is false for a state that this SDK does not know.
func batchFromProto(m *syncerv1.Batch) (b syncer.Batch, known bool) {
	b = syncer.Batch{
		ID: syncer.BatchID(m.GetId()), Range: rangeFromProto(m.GetRange()), Peer: syncer.PeerID(m.GetPeer()),
		State: syncer.BatchState(m.GetState()), HedgeOf: syncer.BatchID(m.GetHedgeOf()),
		Bytes: m.GetBytes(), Millis: m.GetMillis(), Blame: m.GetBlame(), Reason: m.GetReason(),
	}
	switch b.State {
	case syncer.BatchAssigned, syncer.BatchDownloaded, syncer.BatchImported, syncer.BatchFailed, syncer.BatchCancelled:
		known = true
	}
	return b, known
}

func orderToRun(o syncer.Order) (*syncerv1.RunResponse, error) {
	m := &syncerv1.RunResponse{Epoch: uint64(o.Epoch), Sequence: o.Sequence}
	set := 0
	if a := o.Assign; a != nil {
		set++
		m.Order = &syncerv1.RunResponse_Assign{Assign: &syncerv1.Assign{
			Batch: uint64(a.Batch), Range: rangeToProto(a.Range), Peer: string(a.Peer), HedgeOf: uint64(a.HedgeOf),
		}}
	}
	if c := o.Cancel; c != nil {
		set++
		m.Order = &syncerv1.RunResponse_Cancel{Cancel: &syncerv1.Cancel{Batch: uint64(c.Batch)}}
	}
	if p := o.Penalise; p != nil {
		set++
		m.Order = &syncerv1.RunResponse_Penalise{Penalise: &syncerv1.Penalise{
			Peer: string(p.Peer), Batch: uint64(p.Batch), Reason: p.Reason,
		}}
	}
	if w := o.Window; w != nil {
		set++
		m.Order = &syncerv1.RunResponse_Window{Window: &syncerv1.Window{Bytes: w.Bytes}}
	}
	if c := o.Complete; c != nil {
		set++
		m.Order = &syncerv1.RunResponse_Complete{Complete: &syncerv1.Complete{Target: uint64(c.Target)}}
	}
	if set != 1 {
		return nil, fmt.Errorf("order has %d parts, want 1: %w", set, syncer.ErrBadOrder)
	}
	return m, nil
}

// errUnknownOrder means that an order is empty or of a kind that this host does not know.
var errUnknownOrder = errors.New("order is empty or of an unknown kind")

// orderFromRun checks the shape of an order. Whether it fits the state is the host's to judge.
func orderFromRun(m *syncerv1.RunResponse) (syncer.Order, error) {
	o := syncer.Order{Epoch: syncer.Epoch(m.GetEpoch()), Sequence: m.GetSequence()}
	switch v := m.GetOrder().(type) {
	case *syncerv1.RunResponse_Assign:
		r := rangeFromProto(v.Assign.GetRange())
		o.Assign = &syncer.Assign{
			Batch: syncer.BatchID(v.Assign.GetBatch()), Range: r, Peer: syncer.PeerID(v.Assign.GetPeer()),
			HedgeOf: syncer.BatchID(v.Assign.GetHedgeOf()),
		}
		if r.To < r.From || r.To-r.From >= maxRange {
			return o, fmt.Errorf("range %d to %d is empty or longer than %d", r.From, r.To, maxRange)
		}
		return o, text("peer id", v.Assign.GetPeer(), maxName)
	case *syncerv1.RunResponse_Cancel:
		o.Cancel = &syncer.Cancel{Batch: syncer.BatchID(v.Cancel.GetBatch())}
	case *syncerv1.RunResponse_Penalise:
		o.Penalise = &syncer.Penalise{
			Peer: syncer.PeerID(v.Penalise.GetPeer()), Batch: syncer.BatchID(v.Penalise.GetBatch()),
			Reason: v.Penalise.GetReason(),
		}
		return o, errors.Join(
			text("peer id", v.Penalise.GetPeer(), maxName),
			text("reason", v.Penalise.GetReason(), maxText),
		)
	case *syncerv1.RunResponse_Window:
		o.Window = &syncer.Window{Bytes: v.Window.GetBytes()}
	case *syncerv1.RunResponse_Complete:
		o.Complete = &syncer.Complete{Target: chain.Height(v.Complete.GetTarget())}
	default:
		return o, errUnknownOrder
	}
	return o, nil
}
