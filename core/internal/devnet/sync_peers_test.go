package devnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/sdk/chain"
)

// vice is what is wrong with a peer.
type vice string

// The vices.
const (
	good        vice = ""
	slow        vice = "slow"        // 20 blocks a second
	lying       vice = "lying"       // certificates that do not verify
	withholding vice = "withholding" // claims blocks and has none
	truncating  vice = "truncating"  // three blocks, whatever was asked for
	wrongChain  vice = "wrong chain" // every block of another chain from the same genesis, with certificates of its own
)

// seed is a peer in this process that serves a history over libp2p, as a node would.
type seed struct {
	history *history
	vice    vice
	other   *history // of wrongChain

	mu     sync.Mutex    // guards the rest
	each   time.Duration // for one block; 0: as fast as it can
	free   time.Time     // when the line is
	served int           // blocks
	run    int           // blocks in the answer that is under way, by the heights asked for
	next   chain.Height
}

// startSeed serves a history at a loopback address of a network of its own, and returns the address to dial.
func startSeed(t testing.TB, s *seed, number int) string {
	t.Helper()
	dir := t.TempDir()
	genesis := s.history.chain.Genesis().Header.Hash()
	n, err := network.Open(network.Options{
		Genesis: genesis, KeyFile: filepath.Join(dir, "p2p.key"), BookFile: filepath.Join(dir, "peers.json"),
		Listen: fmt.Sprintf("127.0.%d.1:0", number+1), Client: "seed", Source: s,
		Take:             func(context.Context, network.Message) network.Verdict { return network.Ignore },
		TakeTransactions: func(context.Context, consensus.Peer, [][]byte) network.Verdict { return network.Ignore },
		Slot:             func() chain.Slot { return s.history.spec.SlotAt(chain.UnixMilli(time.Now().UnixMilli())) },
	})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background()) // ends at cleanup, after the node that is served
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, errors.Join(<-done, n.Close()))
	})
	for _, a := range n.Addresses() {
		if strings.Contains(a, "/tcp/") {
			return a
		}
	}
	t.Fatal("the seed does not listen")
	return ""
}

// Status implements network.Source.
func (s *seed) Status() network.Status {
	tip := s.history.tip
	qc, err := s.history.chain.QC(tip.Header.Hash())
	if err != nil {
		return network.Status{}
	}
	_, safe, finalized := s.history.chain.Heads()
	return network.Status{
		ChainID: s.history.spec.ChainID, Head: consensus.Certificate{Header: tip.Header, QC: qc}, Safe: safe, Finalized: finalized,
	}
}

// At implements network.Source.
func (s *seed) At(ctx context.Context, h chain.Height) (network.Stored, error) {
	from := s.history
	switch s.vice {
	case withholding:
		return network.Stored{}, network.ErrNotFound
	case slow:
		if !pause(ctx, 50*time.Millisecond) {
			return network.Stored{}, ctx.Err()
		}
	case truncating:
		if s.ended(h) {
			return network.Stored{}, network.ErrNotFound
		}
	case wrongChain:
		from = s.other
	case good, lying:
	}
	if !s.line(ctx) {
		return network.Stored{}, ctx.Err()
	}
	hash, err := from.store.Canonical(h)
	if err != nil {
		return network.Stored{}, network.ErrNotFound
	}
	s.mu.Lock()
	s.served++
	s.mu.Unlock()
	return from.stored(hash)
}

// line lets one block after the other through, of all answers together, as a thin line does.
func (s *seed) line(ctx context.Context) bool {
	s.mu.Lock()
	now := time.Now()
	if s.free.Before(now) || s.each == 0 {
		s.free = now
	}
	s.free = s.free.Add(s.each)
	wait := s.free.Sub(now)
	s.mu.Unlock()
	return wait == 0 || pause(ctx, wait)
}

// pace changes how long a peer takes for one block.
func (s *seed) pace(each time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each = each
}

// servedBlocks is what peers have served together.
func servedBlocks(seeds []*seed) int {
	sum := 0
	for _, s := range seeds {
		s.mu.Lock()
		sum += s.served
		s.mu.Unlock()
	}
	return sum
}

// ended reports whether a run of questions has had its three blocks.
func (s *seed) ended(h chain.Height) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h != s.next {
		s.run = 0
	}
	s.run++
	s.next = h + 1
	return s.run > 3
}

func (h *history) stored(hash chain.Hash) (network.Stored, error) {
	raw, err := h.store.Encoded(hash)
	if err != nil {
		return network.Stored{}, network.ErrNotFound
	}
	header, err := h.store.Header(hash)
	return network.Stored{Hash: hash, Parent: header.Parent, Raw: raw}, err
}

// Block implements network.Source.
func (s *seed) Block(_ context.Context, hash chain.Hash) (network.Stored, error) {
	return s.history.stored(hash)
}

// Certificate implements network.Source.
func (s *seed) Certificate(_ context.Context, hash chain.Hash) (block.QC, error) {
	from := s.history
	if s.vice == wrongChain {
		from = s.other
	}
	qc, err := from.chain.QC(hash)
	if err != nil {
		return qc, network.ErrNotFound
	}
	if s.vice == lying {
		qc.Signature[20] ^= 1
	}
	return qc, nil
}

// pause waits, and reports false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// far puts a peer at a distance: connections to the address that it returns reach the peer's, and every byte takes oneWay
// longer in either direction.
func far(t testing.TB, address string, oneWay time.Duration) string {
	t.Helper()
	parts := strings.Split(address, "/") // "", ip4, host, tcp, port, p2p, id
	l, err := net.Listen("tcp", net.JoinHostPort(parts[2], "0"))
	check(t, err)
	t.Cleanup(func() { _ = l.Close() })
	target := net.JoinHostPort(parts[2], parts[4])
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			peer, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			go delayed(near, peer, oneWay)
			go delayed(peer, near, oneWay)
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	parts[4] = port
	return strings.Join(parts, "/")
}

// delayed copies what it reads, each piece a while after it came.
func delayed(from, to net.Conn, by time.Duration) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 4096)
	go func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 64<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				pieces <- piece{time.Now().Add(by), buffer[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		pause(context.Background(), time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
	_, _ = io.Copy(io.Discard, from)
	for range pieces { // what was read after the other end went is lost, as on a network
	}
}
