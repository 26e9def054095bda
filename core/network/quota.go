package network

import (
	"golang.org/x/time/rate"
)

// quota is what a peer may cost us: requests that we answer, bytes that we send or read for it. It belongs to one
// membership; how fast a peer can come back is limited where connections are (a few in a minute from one address).
type quota struct {
	status  *rate.Limiter // questions for our status
	ranges  *rate.Limiter // questions for ranges
	hashes  *rate.Limiter // blocks asked for by hash
	peers   *rate.Limiter // questions for peers
	served  *rate.Limiter // bytes of blocks that we send; waited for
	direct  *rate.Limiter // direct messages; waited for
	heard   *rate.Limiter // bytes of direct messages; waited for
	gossip  *rate.Limiter // bytes of gossip; what is over is not looked at
	notices *rate.Limiter // messages of gossip; the same
	// transactions of gossip, each of which costs a signature check and a question to the engine; the same
	transactions *rate.Limiter
}

// Rates in a second, and bursts. An honest node stays far below: an authority set of 15 makes some 40 votes in a slot of
// a second, and each is forwarded a few times at most.
const (
	statusRate, statusBurst = 2, 8
	rangeRate, rangeBurst   = 16, 64
	hashRate, hashBurst     = 32, 128
	peersRate, peersBurst   = 0.1, 3
	servedRate              = 64 << 20
	messageRate             = 500
	messageBurst            = 2000
	txRate, txBurst         = 1000, 8192
)

func newQuota(maxMessage int) *quota {
	bytes := func() *rate.Limiter { return rate.NewLimiter(rate.Limit(2*maxMessage), 4*maxMessage) }
	return &quota{
		status:       rate.NewLimiter(statusRate, statusBurst),
		ranges:       rate.NewLimiter(rangeRate, rangeBurst),
		hashes:       rate.NewLimiter(hashRate, hashBurst),
		peers:        rate.NewLimiter(peersRate, peersBurst),
		served:       rate.NewLimiter(servedRate, 2*servedRate),
		direct:       rate.NewLimiter(messageRate, messageBurst),
		heard:        bytes(),
		gossip:       bytes(),
		notices:      rate.NewLimiter(messageRate, messageBurst),
		transactions: rate.NewLimiter(txRate, txBurst),
	}
}
