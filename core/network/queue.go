package network

import (
	"sync"
	"sync/atomic"
)

// queue holds encoded messages that wait to be sent, bounded in number and bytes. What does not fit is dropped: consensus
// sends again what matters.
type queue struct {
	maxItems, maxBytes int
	shared             *budget       // of all queues together; nil: none
	ready              chan struct{} // holds a token while there may be something

	mu     sync.Mutex // guards the rest
	items  [][]byte
	bytes  int
	closed bool
}

// budget is bytes that several queues share.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) take(n int) bool {
	if b == nil {
		return true
	}
	if b.used.Add(int64(n)) > b.limit {
		b.used.Add(-int64(n))
		return false
	}
	return true
}

func (b *budget) give(n int) {
	if b != nil {
		b.used.Add(-int64(n))
	}
}

func newQueue(items, bytes int, shared *budget) *queue {
	return &queue{maxItems: items, maxBytes: bytes, shared: shared, ready: make(chan struct{}, 1)}
}

// put adds a message, and reports false when there is no room or the queue is closed.
func (q *queue) put(b []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.items) >= q.maxItems || q.bytes+len(b) > q.maxBytes || !q.shared.take(len(b)) {
		return false
	}
	q.items = append(q.items, b)
	q.bytes += len(b)
	q.signal()
	return true
}

// take removes the oldest message; ok is false when there is none, and open false when there will be no more.
func (q *queue) take() (b []byte, ok, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return nil, false, !q.closed
	}
	b = q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	q.bytes -= len(b)
	q.shared.give(len(b))
	if len(q.items) > 0 {
		q.signal()
	}
	return b, true, true
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// drain drops all that waits.
func (q *queue) drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shared.give(q.bytes)
	q.items, q.bytes = nil, 0
}

// close drops all that waits and takes nothing more.
func (q *queue) close() {
	q.drain()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// size is what waits.
func (q *queue) size() (items, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes
}
