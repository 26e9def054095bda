package devnet

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
)

// Heads records blocks as a wallet's subscription sees them.
type Heads struct {
	mu      sync.Mutex
	arrived []arrival // guarded by mu
	err     error     // guarded by mu; why the subscription ended
}

type arrival struct {
	at     time.Time
	header *types.Header
}

// Watch subscribes to new heads over WebSocket until the test ends.
func (n *Node) Watch() *Heads {
	n.t.Helper()
	h := &Heads{}
	c := n.Wallet("ws")
	in := make(chan *types.Header, 64)
	sub, err := c.SubscribeNewHead(n.t.Context(), in)
	if err != nil {
		n.t.Fatalf("eth_subscribe newHeads: %v", err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer sub.Unsubscribe()
		for {
			select {
			case head := <-in:
				h.mu.Lock()
				h.arrived = append(h.arrived, arrival{time.Now(), head})
				h.mu.Unlock()
			case err := <-sub.Err():
				h.mu.Lock()
				h.err = err
				h.mu.Unlock()
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	n.t.Cleanup(func() { cancel(); <-done })
	return h
}

// Count is how many heads arrived, and the error that ended the subscription, if one did.
func (h *Heads) Count() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.arrived), h.err
}

// Figures say how heads came since the first-th: how late after the start of their slot, and how far apart.
type Figures struct {
	Blocks     int
	Median     time.Duration // slot start to the wallet hearing of the block
	Worst      time.Duration
	LongestGap time.Duration // between two heads
}

// Figures evaluates the heads from the given one on. A slot of the development chain starts at its block's timestamp.
func (h *Heads) Figures(from int) Figures {
	h.mu.Lock()
	defer h.mu.Unlock()
	var late []time.Duration
	f := Figures{}
	for i, a := range h.arrived[from:] {
		late = append(late, a.at.Sub(time.Unix(int64(a.header.Time), 0)))
		if i > 0 {
			f.LongestGap = max(f.LongestGap, a.at.Sub(h.arrived[from+i-1].at))
		}
	}
	if f.Blocks = len(late); f.Blocks > 0 {
		slices.Sort(late)
		f.Median, f.Worst = late[len(late)/2], late[len(late)-1]
	}
	return f
}
