package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/alys-node/alys/sdk/chain"
)

// Checkpoint is a safe block from which a damaged folder can go on: one at every interval, genesis, and the safe block
// itself.
type Checkpoint struct {
	Height    chain.Height `json:"height"`
	Hash      chain.Hash   `json:"hash"`
	Parent    chain.Hash   `json:"parent"`
	StateRoot chain.Hash   `json:"state_root"` // of the execution layer
	Time      time.Time    `json:"time"`       // of its slot
	Verified  bool         `json:"verified"`   // the stored block is its header's and a quorum's certificate is with it
	Problem   string       `json:"problem,omitempty"`
}

// CheckedChain is what a check of the stored chain found. Everything below Bad is sound.
type CheckedChain struct {
	Head      chain.Ref    `json:"head"`
	Safe      chain.Ref    `json:"safe"`
	Finalized chain.Ref    `json:"finalized"`
	Checked   chain.Height `json:"checked"` // up to here: the head, of a running node the safe block
	Bad       chain.Height `json:"bad"`     // the first height that is not sound; 0 when all are
	Reason    string       `json:"reason,omitempty"`
	// Engine is the highest checkpoint that the engine has, and EngineMissing the first that it lacks, which the node replays
	// at its next start; both 0 where the engine was not asked, EngineMissing where it lacks none.
	Engine        chain.Height `json:"engine,omitempty"`
	EngineMissing chain.Height `json:"engine_missing,omitempty"`
}

// CheckProgress says how far a check is; the last one has Done.
type CheckProgress struct {
	Height chain.Height  `json:"height"` // read up to here
	All    chain.Height  `json:"all"`
	Done   bool          `json:"done,omitempty"`
	Result *CheckedChain `json:"result,omitempty"`
	Error  *Error        `json:"error,omitempty"`
}

// Archive is a node whose stored chain can be looked at while it runs. Nothing is changed by it.
type Archive interface {
	// Checkpoints lists the last checkpoints, the oldest first, each checked by itself.
	Checkpoints(ctx context.Context, last int) ([]Checkpoint, error)
	// CheckChain reads the stored chain again up to the safe block, beside the node's work, until ctx ends.
	CheckChain(ctx context.Context, progress func(CheckProgress)) (CheckedChain, error)
}

func (s *Server) checkpoints(w http.ResponseWriter, r *http.Request) {
	last, err := strconv.Atoi(r.URL.Query().Get("last"))
	if err != nil || last < 1 {
		reply(w, outcome{nil, &Error{Code: "invalid", Message: "last must be a number above 0"}})
		return
	}
	reply(w, call(r, func(ctx context.Context) ([]Checkpoint, error) { return s.node.Checkpoints(ctx, last) }))
}

func (s *Server) checkChain(w http.ResponseWriter, r *http.Request) {
	write := lineWriter[CheckProgress](w)
	last := CheckProgress{Done: true}
	if result, err := s.node.CheckChain(r.Context(), write); err != nil {
		last.Error = asError(err)
	} else {
		last.Result = &result
	}
	write(last)
}

// Checkpoints lists the last checkpoints of a node, the oldest first.
func (c *Client) Checkpoints(ctx context.Context, last int) ([]Checkpoint, error) {
	return ask[[]Checkpoint](ctx, c, http.MethodGet, "/v1/checkpoints?"+url.Values{"last": {strconv.Itoa(last)}}.Encode(), nil)
}

// CheckChain lets a node read its stored chain again up to the safe block. Ending ctx ends the check. progress may be nil.
func (c *Client) CheckChain(ctx context.Context, progress func(CheckProgress)) (CheckedChain, error) {
	var out CheckedChain
	err := lines(ctx, c, request{"/v1/checkpoints/verify", struct{}{}}, func(p CheckProgress) (bool, error) {
		switch {
		case p.Error != nil:
			return true, p.Error
		case p.Result != nil:
			out = *p.Result
		case !p.Done && progress != nil:
			progress(p)
		}
		return p.Done, nil
	})
	return out, err
}
