package network

import "sync"

// queue holds encoded messages that wait to be sent, bounded in number and bytes. What does not fit is dropped: consensus
// sends again what matters.
type queue struct {
	maxItems, maxBytes int
	ready              chan struct{} // holds a token while there may be something

	mu     sync.Mutex // guards the rest
	items  [][]byte
	bytes  int
	closed bool
}

func newQueue(items, bytes int) *queue {
	return &queue{maxItems: items, maxBytes: bytes, ready: make(chan struct{}, 1)}
}

// put adds a message, and reports false when there is no room or the queue is closed.
func (q *queue) put(b []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.items) >= q.maxItems || q.bytes+len(b) > q.maxBytes {
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
