package external

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Errors of a client that is the wrong one, or is set up wrongly: they do not pass by themselves.
var (
	// ErrOtherChain means that the client runs another chain.
	ErrOtherChain = errors.New("the execution client runs another chain")
	// ErrOtherForks means that the client has another fork schedule.
	ErrOtherForks = errors.New("the execution client has another fork schedule")
	// ErrMissing means that the client does not serve what is needed of it.
	ErrMissing = errors.New("the execution client does not serve what is needed")
	// ErrExposed means that the client serves what wallets must not reach.
	ErrExposed = errors.New("the execution client would let wallets administrate it")
)

// namespaces is the hint of every finding about the public JSON-RPC.
const namespaces = "start geth with --http --http.api eth,net,web3,txpool, and other clients with the same namespaces"

// verify looks whether the client is the right one and serves what is needed. It reads the secret's file again, so that
// a new secret needs no restart.
// While it looks for another caller, the answer is what was known before: nobody waits in line for a client that hangs.
func (e *Engine) verify(ctx context.Context) error {
	if !e.check.TryLock() {
		if s := e.known(); s.err != nil {
			return s.err
		}
		return fmt.Errorf("%w: the client is being looked at", engine.ErrUnavailable)
	}
	defer e.check.Unlock()
	err := e.look(ctx, e.known().ready)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err // says nothing about the client
	}
	e.note(err, err != nil && isWrong(err))
	return err
}

func isWrong(err error) bool {
	for _, wrong := range []error{ErrOtherChain, ErrOtherForks, ErrMissing, ErrExposed, engineapi.ErrSecret, engineapi.ErrUnauthorized} {
		if errors.Is(err, wrong) {
			return true
		}
	}
	return false
}

// look asks a client that was ready who it is, and any other all there is to ask.
func (e *Engine) look(ctx context.Context, brief bool) error {
	if brief {
		return e.sameChain(ctx, e.api.Conn)
	}
	secret, err := engineapi.ReadSecret(e.cfg.Secret)
	if err != nil {
		return err
	}
	e.api.UseSecret(secret)
	if err := e.sameChain(ctx, e.api.Conn); err != nil {
		return err
	}
	if err := e.capabilities(ctx); err != nil {
		return err
	}
	if err := e.sameForks(ctx); err != nil {
		return err
	}
	if e.rpc != nil {
		if err := e.publicRPC(ctx); err != nil {
			return err
		}
	}
	return e.findReader(ctx)
}

// sameChain compares chain id and genesis.
func (e *Engine) sameChain(ctx context.Context, c *engineapi.Conn) error {
	var (
		id      hexutil.Uint64
		genesis *types.Header
	)
	asks := []*engineapi.Ask{
		{Method: "eth_chainId", Result: &id},
		{Method: "eth_getBlockByNumber", Args: []any{"0x0", false}, Result: &genesis},
	}
	if err := c.Batch(ctx, asks); err != nil {
		return err
	}
	for _, a := range asks {
		if engineapi.Lacks(a.Err) {
			return fmt.Errorf("%w: %s has no %s: %s", ErrMissing, c.URL(), a.Method, namespaces)
		}
		if a.Err != nil {
			return a.Err
		}
	}
	if want := e.cfg.Genesis.ChainID(); uint64(id) != want {
		return fmt.Errorf("%w: %s has chain id %d, this chain has %d: is it the right port?", ErrOtherChain, c.URL(), uint64(id), want)
	}
	if genesis == nil || genesis.Hash() != common.Hash(e.cfg.Genesis.Hash()) {
		return fmt.Errorf("%w: genesis of %s is %s, this chain's is %s: initialize the client with this chain's execution genesis",
			ErrOtherChain, c.URL(), hashOf(genesis), e.cfg.Genesis.Hash())
	}
	return nil
}

func hashOf(h *types.Header) string {
	if h == nil {
		return "not there"
	}
	return h.Hash().Hex()
}

// forks are those whose payloads the engine has to do with.
func (e *Engine) forks() []execution.Fork {
	out := []execution.Fork{}
	for _, f := range e.cfg.Genesis.Forks() {
		if e.cfg.Genesis.Executes(f.Timestamp) == nil {
			out = append(out, execution.Fork(f.Name))
		}
	}
	return out
}

func (e *Engine) capabilities(ctx context.Context) error {
	need := engineapi.Methods(e.forks()...)
	has, err := e.api.Capabilities(ctx, need)
	if err != nil {
		if engineapi.Lacks(err) {
			return fmt.Errorf("%w: %s has no Engine API: endpoint must be the authenticated port, 8551 by default", ErrMissing, e.cfg.Endpoint)
		}
		return err
	}
	missing := slices.DeleteFunc(need, func(m string) bool { return slices.Contains(has, m) })
	if len(missing) > 0 {
		return fmt.Errorf("%w: it lacks %s: use a newer client", ErrMissing, strings.Join(missing, ", "))
	}
	version, err := e.api.Version(ctx)
	switch {
	case engineapi.Lacks(err):
		version = "unknown" // an old client
	case err != nil:
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.version = version
	return nil
}

// sameForks compares the schedule with what the client says of it (eth_config, EIP-7910), which the genesis hash does not
// cover. A client without the method is found out by the first payload of a fork that it sees elsewhere.
func (e *Engine) sameForks(ctx context.Context) error {
	type fork struct {
		Activation uint64 `json:"activationTime"`
	}
	var c struct{ Current, Next, Last *fork }
	err := e.api.Call(ctx, &c, "eth_config")
	if _, coded := errors.AsType[*engineapi.Error](err); coded {
		return nil // it does not have the method, or has no fork to tell
	}
	if err != nil {
		return err
	}
	if c.Current == nil {
		return nil // it tells none
	}
	ours := map[uint64]bool{0: true} // what is active at genesis is told as 0
	for _, f := range e.cfg.Genesis.Forks() {
		ours[f.Timestamp] = true
	}
	for _, f := range []*fork{c.Current, c.Next, c.Last} {
		if f != nil && !ours[f.Activation] {
			return fmt.Errorf("%w: it has a fork at unix time %d, this chain's are %v: initialize it with this chain's execution genesis",
				ErrOtherForks, f.Activation, slices.Sorted(maps.Keys(ours)))
		}
	}
	// What is next follows from what the client calls current. The clock says nothing of it: geth answers for the time of
	// its head, which lies behind a fork that has passed until the client has caught up.
	reached := max(e.cfg.Genesis.Time(), c.Current.Activation)
	for _, f := range e.cfg.Genesis.Forks() { // in order: the first to come is the next one
		if f.Timestamp <= reached {
			continue
		}
		if c.Next == nil || c.Next.Activation != f.Timestamp {
			return fmt.Errorf("%w: this chain's next fork after unix time %d is %s at %d, the client does not have it: initialize it again "+
				"with this chain's execution genesis", ErrOtherForks, reached, f.Name, f.Timestamp)
		}
		return nil
	}
	return nil
}

// publicRPC wants the same chain, the pool's content, and nothing that wallets must not reach: the node's listener passes
// everything on.
func (e *Engine) publicRPC(ctx context.Context) error {
	if err := e.sameChain(ctx, e.rpc); err != nil {
		return err
	}
	if _, _, err := e.poolSize(ctx); err != nil {
		if engineapi.Lacks(err) {
			return fmt.Errorf("%w: %s has no namespace txpool: %s", ErrMissing, e.cfg.RPC, namespaces)
		}
		return err
	}
	var modules map[string]string
	if err := e.rpc.Call(ctx, &modules, "rpc_modules"); err != nil {
		if engineapi.Lacks(err) {
			return nil
		}
		return err
	}
	for _, private := range []string{"admin", "debug", "engine", "miner", "personal"} {
		if _, ok := modules[private]; ok {
			return fmt.Errorf("%w: %s serves the namespace %s, and the node's wallet listener passes everything on: %s",
				ErrExposed, e.cfg.RPC, private, namespaces)
		}
	}
	return nil
}

// findReader finds who serves receipts: the authenticated port need not (execution-apis), the public one does.
func (e *Engine) findReader(ctx context.Context) error {
	for _, c := range []*engineapi.Conn{e.api.Conn, e.rpc} {
		if c == nil {
			continue
		}
		_, err := receiptsOf(ctx, c, chain.Hash{})
		if engineapi.Lacks(err) {
			continue
		}
		if errors.Is(err, engineapi.ErrNoAnswer) || ctx.Err() != nil {
			return err
		}
		e.mu.Lock()
		e.state.reader = c
		e.mu.Unlock()
		return nil
	}
	hint := "set rpc to its public JSON-RPC: " + namespaces
	if e.rpc != nil {
		hint = namespaces
	}
	return fmt.Errorf("%w: eth_getBlockReceipts is on neither port: %s", ErrMissing, hint)
}
