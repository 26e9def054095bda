package network

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/sdk/chain"
)

// Limits of gossip.
const (
	validateQueue    = 256              // messages that wait for validation
	validateWorkers  = 2                // that take from the queue
	blockValidators  = 4                // proposals that are judged at once: each may be as large as a block
	voteValidators   = 64               // approvals and certificates that are judged at once
	txValidators     = 2                // messages of transactions that are judged at once: each asks the engine
	validateTime     = 5 * time.Second  // one judgement takes no longer
	peerQueue        = 64               // messages that wait for one peer
	controlBytes     = 64 << 10         // of announcements and requests in one packet
	packetOverhead   = 64 << 10         // around a message
	seenFor          = 2 * time.Minute  // that a message is known again; what consensus sends again is another message
	scoreInterval    = 10 * time.Second // between two looks at scores
	slotsAround      = 2                // how far the slot of a message may be from ours
	packetMessages   = 256              // messages in one packet
	dismissThreshold = -300.0           // of the score; below it a peer is disconnected
)

// gossip is one run of gossipsub. Messages carry no signature and no author of libp2p's (StrictNoSign): what they say is
// signed with an authority's BLS key, is judged before it is forwarded, and who forwards it answers for it. A second
// signature would cost every hop a check and prove nothing more.
type gossip struct {
	n                              *Network
	proposals, votes, transactions *pubsub.Topic
}

func (n *Network) newGossip(ctx context.Context) (*gossip, error) {
	g := &gossip{n: n}
	silent := slog.New(slog.DiscardHandler)
	ps, err := pubsub.NewGossipSub(ctx, gossipHost{n.node, n},
		pubsub.WithGossipSubProtocols([]protocol.ID{n.proto.gossip}, func(f pubsub.GossipSubFeature, _ protocol.ID) bool {
			return pubsub.GossipSubDefaultFeatures(f, pubsub.GossipSubID_v12)
		}),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(n.opt.MaxMessage+packetOverhead),
		pubsub.WithMaxControlMessageSize(controlBytes),
		pubsub.WithSeenMessagesTTL(seenFor),
		pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithValidateWorkers(validateWorkers),
		pubsub.WithValidateThrottle(2*voteValidators),
		pubsub.WithPeerOutboundQueueSize(peerQueue),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerScore(scoreParams(n), scoreThresholds()),
		pubsub.WithPeerScoreInspect(n.seeScores, scoreInterval),
		pubsub.WithAppSpecificRpcInspector(g.inspect),
		pubsub.WithSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(n.proto.proposals, n.proto.votes, n.proto.transactions)),
		pubsub.WithLogger(silent), pubsub.WithRPCLogger(silent),
	)
	if err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	join := func(topic string, validate pubsub.ValidatorEx, concurrency int) *pubsub.Topic {
		if err != nil {
			return nil
		}
		var t *pubsub.Topic
		err = ps.RegisterTopicValidator(topic, validate, pubsub.WithValidatorConcurrency(concurrency), pubsub.WithValidatorTimeout(validateTime))
		if err == nil {
			t, err = ps.Join(topic)
		}
		if err == nil {
			_, err = t.Relay() // what arrives is taken by the validator: nobody reads a subscription
		}
		return t
	}
	g.proposals = join(n.proto.proposals, g.validate, blockValidators)
	g.votes = join(n.proto.votes, g.validate, voteValidators)
	g.transactions = join(n.proto.transactions, g.validateTransactions, txValidators)
	if err != nil {
		return nil, fmt.Errorf("join gossip topic: %w", err)
	}
	return g, nil
}

// messageID is a hash of topic and content: whoever sends a message, it is one message.
func messageID(m *pb.Message) string {
	d := sha256.New()
	d.Write([]byte(m.GetTopic()))
	d.Write([]byte{0})
	d.Write(m.GetData())
	return string(d.Sum(nil)[:20])
}

// publish sends a message of ours. A nil error is no proof of delivery.
func (g *gossip) publish(ctx context.Context, raw []byte) error {
	k, _, err := peekMessage(raw)
	if err != nil {
		return err
	}
	return g.topic(k).Publish(ctx, raw)
}

func (g *gossip) topic(k Kind) *pubsub.Topic {
	if k == KindProposal {
		return g.proposals
	}
	return g.votes
}

// inspect sees every packet before its messages. Messages of a peer that has not been admitted, and those over a member's
// quota, are taken out unread; membership of topics goes through.
func (g *gossip) inspect(from peer.ID, rpc *pubsub.RPC) error {
	if len(rpc.GetPublish()) == 0 {
		return nil
	}
	m := g.n.member(from)
	size := 0
	for _, p := range rpc.GetPublish() {
		size += len(p.GetData())
	}
	now := time.Now()
	switch {
	case m == nil:
		g.drop(rpc, "not_admitted")
	case len(rpc.GetPublish()) > packetMessages,
		!m.quota.notices.AllowN(now, len(rpc.GetPublish())),
		!m.quota.gossip.AllowN(now, min(size, m.quota.gossip.Burst())):
		g.drop(rpc, "over_quota")
	}
	return nil
}

func (g *gossip) drop(rpc *pubsub.RPC, why string) {
	g.n.metrics.MessagesDropped.WithLabelValues(why).Add(float64(len(rpc.GetPublish())))
	rpc.Publish = nil
}

// errWrongTopic means that a message is in a topic of other kinds.
var errWrongTopic = fmt.Errorf("message in a topic of other kinds: %w", ErrMalformed)

// validate judges a message before it is forwarded, and hands it on.
func (g *gossip) validate(ctx context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	n := g.n
	if from == n.node.ID() {
		return pubsub.ValidationAccept
	}
	k, slot, err := peekMessage(msg.GetData())
	if err == nil && (k == KindProposal) != (msg.GetTopic() == n.proto.proposals) {
		err = errWrongTopic
	}
	if err != nil {
		return g.malformed(from, err)
	}
	if !near(slot, n.opt.Slot()) {
		// Late, or somebody's clock is wrong. Old messages do not come round again by this.
		n.metrics.Messages.WithLabelValues(k.String(), "other_slot").Inc()
		return pubsub.ValidationIgnore
	}
	m, err := decodeMessage(msg.GetData())
	if err != nil {
		return g.malformed(from, err)
	}
	m.From = consensus.Peer(from.String())
	switch n.take(ctx, from, m) {
	case Accept:
		return pubsub.ValidationAccept
	case Reject:
		return pubsub.ValidationReject
	case Ignore:
	}
	return pubsub.ValidationIgnore
}

func (g *gossip) malformed(from peer.ID, err error) pubsub.ValidationResult {
	g.n.metrics.Messages.WithLabelValues("unknown", "malformed").Inc()
	g.n.misbehaved(from, err.Error())
	return pubsub.ValidationReject
}

func near(a, b chain.Slot) bool { return max(a, b)-min(a, b) <= slotsAround }

// seeScores notes the scores of gossip, and parts with members that score badly: they have withheld, flooded or sent what
// is invalid. It is no ban.
func (n *Network) seeScores(scores map[peer.ID]float64) {
	var bad []peer.ID
	n.mu.Lock()
	for id, m := range n.members {
		m.score = scores[id]
		if m.score < dismissThreshold {
			bad = append(bad, id)
		}
	}
	n.mu.Unlock()
	for _, id := range bad {
		n.book.refuse(id, errScore.Error(), n.opt.Now())
		n.warn(id, "peer disconnected: it does not play by the rules of gossip")
		n.dismiss(id, "score", errScore.Error())
	}
}

var errScore = errors.New("the score of gossip is too low")
