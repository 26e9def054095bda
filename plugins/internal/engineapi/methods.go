package engineapi

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"
	"github.com/ethereum/go-ethereum/common"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Client speaks the Engine API.
type Client struct{ *Conn }

// PayloadID names a payload that the client builds.
type PayloadID = gethengine.PayloadID

// method is a method in the version of a fork; forkchoiceUpdated has no fourth.
func method(name string, fork execution.Fork) string {
	version := 1 + slices.Index([]execution.Fork{execution.Paris, execution.Shanghai, execution.Cancun, execution.Prague}, fork)
	if name == "forkchoiceUpdated" {
		version = min(version, 3)
	}
	return fmt.Sprintf("engine_%sV%d", name, version)
}

// Methods lists what an engine needs of a client whose payloads are of these forks.
func Methods(forks ...execution.Fork) []string {
	out := []string{"engine_getPayloadBodiesByHashV1"}
	for _, f := range forks {
		for _, name := range []string{"newPayload", "forkchoiceUpdated", "getPayload"} {
			if m := method(name, f); !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// NewPayload is engine_newPayloadV1 to V4, by the payload's fork. ACCEPTED, and INVALID_BLOCK_HASH of old clients, are
// what they mean: SYNCING and INVALID.
func (c Client) NewPayload(ctx context.Context, fork execution.Fork, d *chain.ExecutionData) (engine.PayloadStatus, error) {
	args := []any{encodePayload(fork, d.Payload)}
	if fork == execution.Cancun || fork == execution.Prague {
		args = append(args, execution.BlobHashes(d.Payload), execution.BeaconRoot(d.ParentBeaconRoot))
	}
	if fork == execution.Prague {
		args = append(args, execution.HexBytes(d.Requests))
	}
	var st gethengine.PayloadStatusV1
	name := method("newPayload", fork)
	if err := c.Call(ctx, &st, name, args...); err != nil {
		return engine.PayloadStatus{}, err
	}
	return status(name, d.Payload.BlockHash, st)
}

// status checks an answer about a payload.
func status(name string, hash chain.Hash, st gethengine.PayloadStatusV1) (engine.PayloadStatus, error) {
	out := engine.PayloadStatus{Hash: hash}
	if st.LatestValidHash != nil {
		out.LatestValid = chain.Hash(*st.LatestValidHash)
	}
	switch st.Status {
	case gethengine.VALID:
		out.Verdict = engine.Valid
		return out, nil
	case gethengine.INVALID, "INVALID_BLOCK_HASH":
		out.Verdict, out.Reason = engine.Invalid, st.Status
	case gethengine.SYNCING, gethengine.ACCEPTED:
		out.Verdict, out.Reason = engine.Syncing, st.Status
	default:
		return engine.PayloadStatus{}, fmt.Errorf("%w: %s answers with status %.32q", engine.ErrUnavailable, name, st.Status)
	}
	if st.ValidationError != nil {
		out.Reason = clip(*st.ValidationError)
	}
	return out, nil
}

// ForkchoiceUpdated is engine_forkchoiceUpdatedV1 to V3. With build, whose Parent must be the head, the client begins a
// payload; the id is nil when it did not.
func (c Client) ForkchoiceUpdated(ctx context.Context, fork execution.Fork, f engine.Forkchoice, build *engine.BuildRequest) (engine.PayloadStatus, *PayloadID, error) {
	var res gethengine.ForkChoiceResponse
	name := method("forkchoiceUpdated", fork)
	if err := c.Call(ctx, &res, name, encodeForkchoice(f), encodeAttributes(fork, build)); err != nil {
		return engine.PayloadStatus{}, nil, err
	}
	st, err := status(name, f.Head, res.PayloadStatus)
	return st, res.PayloadID, err
}

// Payload is engine_getPayloadV1 to V4. A client that was asked once may end the building.
func (c Client) Payload(ctx context.Context, fork execution.Fork, id PayloadID) (chain.ExecutionData, error) {
	var env gethengine.ExecutionPayloadEnvelope
	name := method("getPayload", fork)
	var into any = &env
	if fork == execution.Paris { // the payload without an envelope
		env.ExecutionPayload = new(gethengine.ExecutableData)
		into = env.ExecutionPayload
	}
	if err := c.Call(ctx, into, name, id); err != nil {
		return chain.ExecutionData{}, err
	}
	if env.ExecutionPayload == nil {
		return chain.ExecutionData{}, fmt.Errorf("%w: %s answers with nothing", engine.ErrUnavailable, name)
	}
	p, err := execution.Payload(env.ExecutionPayload)
	if err != nil {
		return chain.ExecutionData{}, fmt.Errorf("%w: %s: %w", engine.ErrUnavailable, name, err)
	}
	d := chain.ExecutionData{Payload: p}
	if fork == execution.Prague {
		d.Requests = append([][]byte{}, env.Requests...)
	}
	return d, nil
}

// MaxBodies is how many bodies are asked for at once; every client answers 32.
const MaxBodies = 32

// Body is the part of a block that its header does not have.
type Body = gethengine.ExecutionPayloadBody

// Bodies is engine_getPayloadBodiesByHashV1 of at most MaxBodies hashes; nil where the client has none.
func (c Client) Bodies(ctx context.Context, hashes []chain.Hash) ([]*Body, error) {
	ask := make([]common.Hash, len(hashes))
	for i, h := range hashes {
		ask[i] = common.Hash(h)
	}
	var out []*Body
	const name = "engine_getPayloadBodiesByHashV1"
	if err := c.Call(ctx, &out, name, ask); err != nil {
		return nil, err
	}
	if len(out) != len(hashes) {
		return nil, fmt.Errorf("%w: %s answers with %d bodies for %d hashes", engine.ErrUnavailable, name, len(out), len(hashes))
	}
	return out, nil
}

// Capabilities is engine_exchangeCapabilities: it tells ours and returns the client's.
func (c Client) Capabilities(ctx context.Context, ours []string) ([]string, error) {
	var theirs []string
	return theirs, c.Call(ctx, &theirs, "engine_exchangeCapabilities", ours)
}

// clientVersion is a ClientVersionV1.
type clientVersion struct {
	Code    string `json:"code"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// maxVersion bounds a version's text, in bytes.
const maxVersion = 200

// Version is engine_getClientVersionV1 as one text, "geth/1.16.7-stable". An old client lacks the method.
func (c Client) Version(ctx context.Context) (string, error) {
	const name = "engine_getClientVersionV1"
	var theirs []clientVersion
	if err := c.Call(ctx, &theirs, name, clientVersion{Code: "AY", Name: "alys", Version: "0.1.0", Commit: "00000000"}); err != nil {
		return "", err
	}
	text := ""
	for _, v := range theirs { // a multiplexer answers for several
		if text != "" {
			text += " "
		}
		text += v.Name + "/" + v.Version
	}
	if text == "" || len(text) > maxVersion || !utf8.ValidString(text) {
		return "", fmt.Errorf("%w: %s answers with %d versions of %d bytes", engine.ErrUnavailable, name, len(theirs), len(text))
	}
	return text, nil
}
