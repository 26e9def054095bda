package network

import (
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// The score of gossip. It is about behaviour in the mesh and about what proved invalid; deliveries that are missing are
// not counted (P3): in a federation of three there may be nothing to deliver for a while, and a quiet peer is no bad one.
// Many peers behind one address are normal for a federation in one machine room and are limited where connections are.

func scoreParams(n *Network) *pubsub.PeerScoreParams {
	topic := func(weight float64) *pubsub.TopicScoreParams {
		return &pubsub.TopicScoreParams{
			TopicWeight:       weight,
			TimeInMeshWeight:  0.01,
			TimeInMeshQuantum: time.Second,
			TimeInMeshCap:     1000,

			FirstMessageDeliveriesWeight: 0.5,
			FirstMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(10 * time.Minute),
			FirstMessageDeliveriesCap:    50,

			InvalidMessageDeliveriesWeight: -20, // times the square of the number
			InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(30 * time.Minute),
		}
	}
	return &pubsub.PeerScoreParams{
		Topics:            map[string]*pubsub.TopicScoreParams{n.proto.proposals: topic(1), n.proto.votes: topic(1), n.proto.transactions: topic(0.5)},
		TopicScoreCap:     50,
		AppSpecificScore:  n.standingScore,
		AppSpecificWeight: 1,

		BehaviourPenaltyWeight:    -10,
		BehaviourPenaltyThreshold: 6,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(10 * time.Minute),

		DecayInterval: time.Second,
		DecayToZero:   0.01,
		RetainScore:   30 * time.Minute,
	}
}

func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{
		GossipThreshold: -50, PublishThreshold: -100, GraylistThreshold: -200, AcceptPXThreshold: 1000, OpportunisticGraftThreshold: 2,
	}
}

// standingScore is our own opinion of a peer: proven faults weigh, and configured peers stay in the mesh.
func (n *Network) standingScore(id peer.ID) float64 {
	static, faults := n.book.standing(id, n.opt.Now())
	score := -faults
	if static {
		score += 20
	}
	return score
}
