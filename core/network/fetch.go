package network

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// fetchAnswer is what Fetch calls back with.
type fetchAnswer func(*block.Block, chain.BLSSignature, consensus.Peer)

// fetchJob is a block that consensus wants.
type fetchJob struct {
	hash   chain.Hash
	from   peer.ID // who is known to have it; may be empty
	answer fetchAnswer
}

// Limits of a fetch.
const (
	fetchPeers    = 4                      // asked at the most
	fetchPatience = 700 * time.Millisecond // for one before the next is asked as well
	fetchTime     = 5 * time.Second        // in all: consensus asks again while it still wants the block
)

// Fetch asks peers for a block: first the one that is known to have it, then others, each beside those before when they
// are slow. answer is called once, with nil when nobody has it.
func (n *Network) Fetch(hash chain.Hash, from consensus.Peer, answer func(*block.Block, chain.BLSSignature, consensus.Peer)) {
	id, err := peer.Decode(string(from))
	if err != nil {
		id = ""
	}
	if n.gossip.Load() != nil {
		select {
		case n.fetches <- fetchJob{hash, id, answer}:
			if n.gossip.Load() == nil {
				n.answerRest() // Run ended meanwhile, and has answered what it saw
			}
			return
		default:
			n.log.Debug("a block is not fetched: too many are", "hash", hash)
		}
	}
	answer(nil, chain.BLSSignature{}, "")
}

// answerRest answers what nobody will fetch any more.
func (n *Network) answerRest() {
	for {
		select {
		case j := <-n.fetches:
			j.answer(nil, chain.BLSSignature{}, "")
		default:
			return
		}
	}
}

func (n *Network) fetchLoop(ctx context.Context) {
	for {
		select {
		case j := <-n.fetches:
			n.fetchOne(ctx, j)
		case <-ctx.Done():
			return
		}
	}
}

// found is a peer's answer to a fetch.
type found struct {
	r    *Received
	from peer.ID
}

func (n *Network) fetchOne(ctx context.Context, j fetchJob) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	candidates := n.candidates(j.from)
	results := make(chan found, len(candidates))
	asked, waiting := 0, 0
	next := func() {
		if asked == len(candidates) {
			return
		}
		id := candidates[asked]
		if n.crew.start(func(crew context.Context) {
			results <- found{n.fetchFrom(ctx, crew, id, j.hash), id}
		}) {
			waiting++
		}
		asked++
	}
	next()
	timer := time.NewTimer(fetchPatience)
	defer timer.Stop()
	for waiting > 0 {
		select {
		case got := <-results:
			waiting--
			if got.r != nil {
				j.answer(got.r.Block, got.r.Signature, consensus.Peer(got.from.String()))
				return
			}
			next()
		case <-timer.C:
			next()
		}
		timer.Reset(fetchPatience)
	}
	j.answer(nil, chain.BLSSignature{}, "")
}

func (n *Network) fetchFrom(ctx, crew context.Context, id peer.ID, hash chain.Hash) *Received {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(crew, cancel)()
	rs, err := n.Blocks(ctx, consensus.Peer(id.String()), []chain.Hash{hash})
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			n.log.Debug("block not fetched", "hash", hash, "peer", id, "error", err)
		}
		return nil
	}
	return rs[0]
}

// candidates are the members to ask: the one that is known to have it, then others at random.
func (n *Network) candidates(first peer.ID) []peer.ID {
	var out []peer.ID
	for _, m := range n.snapshot() {
		if m.id != first {
			out = append(out, m.id)
		}
	}
	rand.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
	if n.member(first) != nil {
		out = slices.Insert(out, 0, first)
	}
	return out[:min(len(out), fetchPeers)]
}
