package admin

import (
	"context"
	"net/http"
	"time"
)

// BenchSignRequest asks for a load of approvals, under a bench chain and with bench keys, on the signer's route of a node
// that runs.
type BenchSignRequest struct {
	Rate     float64       `json:"rate"`           // approvals a second, on a fixed schedule
	Duration time.Duration `json:"duration_ns"`    // of the steady part, in which nothing is swapped
	Swaps    int           `json:"swaps"`          // hot swaps in a row after it, under the same load
	With     string        `json:"with,omitempty"` // the label of the other signer; empty: the only other block with the same command
}

// BenchSignResult is what was measured. Times are in seconds.
type BenchSignResult struct {
	Rate         float64           `json:"rate"`
	Steady       BenchCalls        `json:"steady"`
	Swapping     *BenchCalls       `json:"swapping,omitempty"` // nil without swaps
	Ratio        float64           `json:"p999_ratio"`         // p99.9 while swapping to p99.9 steady; 0 without swaps
	Swaps        int               `json:"swaps"`
	Steps        []BenchStep       `json:"steps,omitempty"` // of the swaps, in their order; "held" is how long callers waited at the flip
	FirstFailure string            `json:"first_failure,omitempty"`
	MissedSlots  uint64            `json:"missed_slots"`  // of the chain, by the node's own counter, since the load began
	ChainBlocks  uint64            `json:"chain_blocks"`  // own blocks of the chain in the same time
	NodeMemory   uint64            `json:"node_memory"`   // resident bytes at the end
	PluginMemory map[string]uint64 `json:"plugin_memory"` // resident bytes of each plugin, the most that was seen
}

// BenchCalls is what the calls of one part saw. A call's time counts from the moment that the schedule had it due, so that
// waiting behind a slow one is in it.
type BenchCalls struct {
	Seconds float64 `json:"seconds"` // of the part
	Due     int     `json:"due"`     // calls that the schedule had; far fewer answered means that the machine did not keep up
	Calls   int     `json:"calls"`   // answered
	Failed  int     `json:"failed"`
	P50     float64 `json:"p50"`
	P99     float64 `json:"p99"`
	P999    float64 `json:"p999"`
	Max     float64 `json:"max"`
	Gap     float64 `json:"longest_gap"` // between two answers
}

// BenchStep is how long a step of the swaps took.
type BenchStep struct {
	Step string  `json:"step"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// BenchProgress says how far a measurement is; the last one has Done.
type BenchProgress struct {
	Part   string           `json:"part,omitempty"` // warm-up, steady, swapping
	Calls  int              `json:"calls,omitempty"`
	Failed int              `json:"failed,omitempty"`
	Swaps  int              `json:"swaps,omitempty"`
	Done   bool             `json:"done,omitempty"`
	Result *BenchSignResult `json:"result,omitempty"`
	Error  *Error           `json:"error,omitempty"`
}

// Bencher is a node that can be measured.
type Bencher interface {
	// BenchSign runs the load until it is done or ctx ends, and leaves the route as it was.
	BenchSign(ctx context.Context, r BenchSignRequest, progress func(BenchProgress)) (BenchSignResult, error)
}

func (s *Server) benchSign(w http.ResponseWriter, r *http.Request) {
	in, err := decode[BenchSignRequest](r)
	if err != nil {
		reply(w, outcome{nil, err})
		return
	}
	write := lineWriter[BenchProgress](w)
	last := BenchProgress{Done: true}
	if result, err := s.node.BenchSign(r.Context(), in, write); err != nil {
		last.Error = asError(err)
	} else {
		last.Result = &result
	}
	write(last)
}

// BenchSign measures the signer's route under load. Ending ctx ends the measurement, and the route is as before.
func (c *Client) BenchSign(ctx context.Context, r BenchSignRequest, progress func(BenchProgress)) (BenchSignResult, error) {
	var out BenchSignResult
	err := lines(ctx, c, request{"/v1/bench/sign", r}, func(p BenchProgress) (bool, error) {
		switch {
		case p.Error != nil:
			return true, p.Error
		case p.Result != nil:
			out = *p.Result
		case !p.Done:
			progress(p)
		}
		return p.Done, nil
	})
	return out, err
}
