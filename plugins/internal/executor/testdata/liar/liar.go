package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	gethengine "github.com/ethereum/go-ethereum/beacon/engine"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/executor"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

// The lies, as the file names them. An empty file, or none, is the truth.
const (
	lieReceipts = "receipts" // a transaction of a block failed that did not
	lieInvalid  = "invalid"  // every payload is INVALID
	lieValid    = "valid"    // what it builds has another state root, and every payload is VALID
	lieHang     = "hang"     // no call of the engine comes back before its caller has gone
	lieSlow     = "slow"     // every call takes three times as long
	lieSyncing  = "syncing"  // every payload is SYNCING
	lieUnmoved  = "unmoved"  // a forkchoice is answered, and the head stays
	lieCrash    = "crash"    // the process ends in the next call
)

// slowness is how many times longer the slow one takes, and slowest the least that it adds: a call of an empty block takes
// less time than the machine's scheduler decides about.
const (
	slowness = 3
	slowest  = 20 * time.Millisecond
)

// crashCode is the exit code of the lie that ends the process.
const crashCode = 7

// liar is the real engine with a file in between.
type liar struct {
	*executor.Plugin

	mu    sync.Mutex
	file  string                             // guarded by mu; empty: it never lies
	twins map[chain.Hash]chain.ExecutionData // guarded by mu; what it built, by the hash of the forgery
}

// Schema implements lifecycle.Plugin.
func (l *liar) Schema() schema.Block {
	b := l.Plugin.Schema()
	b.Attributes = append(b.Attributes, schema.Attribute{
		Name: "lies", Type: schema.Path,
		Doc: "A file that names the lie, read at every call. The first lie after each change writes its time, in unix nanoseconds, beside it (.told).",
	})
	return b
}

// honest takes the liar's own argument out of a configuration.
func honest(c lifecycle.Config) (file string, rest lifecycle.Config, err error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(c.JSON, &fields); err != nil {
		return "", c, fmt.Errorf("decode config: %w", err)
	}
	if raw, ok := fields["lies"]; ok {
		if err := json.Unmarshal(raw, &file); err != nil {
			return "", c, fmt.Errorf("decode config: lies: %w", err)
		}
		delete(fields, "lies")
	}
	c.JSON, err = json.Marshal(fields)
	return file, c, err
}

// Validate implements lifecycle.Plugin.
func (l *liar) Validate(ctx context.Context, c lifecycle.Config) diag.Diagnostics {
	_, rest, err := honest(c)
	if err != nil {
		return diag.Diagnostics{diag.Errorf(nil, "see the plugin's schema", "%s", err)}
	}
	return l.Plugin.Validate(ctx, rest)
}

// Resources implements lifecycle.PluginWithResources.
func (l *liar) Resources(ctx context.Context, c lifecycle.Config) ([]lifecycle.Resource, error) {
	_, rest, err := honest(c)
	if err != nil {
		return nil, err
	}
	return l.Plugin.Resources(ctx, rest)
}

// Configure implements lifecycle.Plugin.
func (l *liar) Configure(ctx context.Context, c lifecycle.Config) error {
	file, rest, err := honest(c)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.file = file
	l.mu.Unlock()
	return l.Plugin.Configure(ctx, rest)
}

// lie is what the file says now.
func (l *liar) lie() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := os.ReadFile(l.file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// told notes the time of the first lie, which is when the fault began.
func (l *liar) told() {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.file+".told", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return // it is there
	}
	_, _ = fmt.Fprint(f, time.Now().UnixNano()) // a test that misses it says so
	_ = f.Close()
}

// before does what lies of every call do before it, and gives what they do after it.
func (l *liar) before(ctx context.Context) (lie string, after func(), err error) {
	lie, after = l.lie(), func() {}
	switch lie {
	case lieHang:
		l.told()
		<-ctx.Done()
		return lie, after, ctx.Err()
	case lieCrash:
		l.told()
		os.Exit(crashCode)
	case lieSlow:
		l.told()
		started := time.Now()
		after = func() { time.Sleep(max((slowness-1)*time.Since(started), slowest)) }
	}
	return lie, after, nil
}

// Build implements engine.Engine.
func (l *liar) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	lie, after, err := l.before(ctx)
	if err != nil {
		return chain.ExecutionData{}, err
	}
	defer after()
	data, err := l.Plugin.Build(ctx, r)
	if err != nil || lie != lieValid {
		return data, err
	}
	l.told()
	forgery, err := forged(data)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.twins[forgery.Payload.BlockHash] = data
	return forgery, err
}

// twin is the payload that a forgery was made of; any other payload is its own.
func (l *liar) twin(data chain.ExecutionData) chain.ExecutionData {
	l.mu.Lock()
	defer l.mu.Unlock()
	if original, ok := l.twins[data.Payload.BlockHash]; ok {
		return original
	}
	return data
}

// original is the hash of the payload that a forgery was made of.
func (l *liar) original(hash chain.Hash) chain.Hash {
	return l.twin(chain.ExecutionData{Payload: chain.Payload{BlockHash: hash}}).Payload.BlockHash
}

// forged gives a payload another state root, and the block hash that goes with it.
func forged(data chain.ExecutionData) (chain.ExecutionData, error) {
	data.Payload.StateRoot[0] ^= 0xff
	b, err := gethengine.ExecutableDataToBlockNoHash(execution.Executable(data.Payload), execution.BlobHashes(data.Payload),
		execution.BeaconRoot(data.ParentBeaconRoot), data.Requests)
	if err != nil {
		return chain.ExecutionData{}, err
	}
	data.Payload.BlockHash = chain.Hash(b.Hash())
	return data, nil
}

// Import implements engine.Engine.
func (l *liar) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	lie, after, err := l.before(ctx)
	if err != nil {
		return engine.ImportResult{}, err
	}
	defer after()
	if lie == lieUnmoved && r.Forkchoice != nil {
		return l.unmoved(ctx, r)
	}
	asked := r.Payloads
	r.Payloads = make([]chain.ExecutionData, len(asked))
	for i, d := range asked {
		r.Payloads[i] = l.twin(d)
	}
	out, err := l.Plugin.Import(ctx, r)
	if err != nil || len(asked) == 0 {
		return out, err
	}
	switch lie {
	case lieInvalid:
		l.told()
		p := r.Payloads[0].Payload
		out.Statuses = []engine.PayloadStatus{{Hash: p.BlockHash, Verdict: engine.Invalid, LatestValid: p.ParentHash, Reason: "the liar does not like it"}}
	case lieSyncing:
		l.told()
		out.Statuses = []engine.PayloadStatus{{Hash: r.Payloads[0].Payload.BlockHash, Verdict: engine.Syncing}}
	case lieValid:
		out.Statuses = nil
		for _, d := range asked {
			out.Statuses = append(out.Statuses, engine.PayloadStatus{Hash: d.Payload.BlockHash, Verdict: engine.Valid, LatestValid: d.Payload.BlockHash})
		}
	}
	return out, nil
}

// unmoved executes the payloads and leaves the heads as they are.
func (l *liar) unmoved(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	l.told()
	out, err := l.Plugin.Import(ctx, engine.ImportRequest{Payloads: r.Payloads})
	if err != nil {
		return out, err
	}
	s, err := l.Plugin.Status(ctx)
	out.Heads = s.Heads
	return out, err
}

// Receipts implements engine.Engine.
func (l *liar) Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error) {
	lie, after, err := l.before(ctx)
	if err != nil {
		return nil, err
	}
	defer after()
	out, err := l.Plugin.Receipts(ctx, l.original(hash))
	if err != nil || lie != lieReceipts || len(out) == 0 {
		return out, err
	}
	l.told()
	out[0].Success = !out[0].Success
	return out, nil
}
