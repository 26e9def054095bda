package external_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/external"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// openWithRPC runs an engine on a client whose public JSON-RPC is a fake of its own, which may be slow alone.
func openWithRPC(t *testing.T, g *execution.Genesis) (e *external.Engine, rpc *fake) {
	t.Helper()
	f, rpc := serve(t, g), serve(t, g)
	f.set("engine_getPayloadV2", built(f.genesis.Hash(), genesisTime+2))
	dir := t.TempDir()
	secret := filepath.Join(dir, "jwt.hex")
	if err := os.WriteFile(secret, []byte(strings.Repeat("42", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := external.Open(t.Context(), external.Config{Genesis: g, Endpoint: f.URL, Secret: secret, RPC: rpc.URL, DataDir: dir}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, rpc
}

// pool answers the question for the pool's size.
func (f *fake) pool(answer func() string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = func(c call) (string, bool) {
		if c.Method != "txpool_status" {
			return "", false
		}
		return answer(), true
	}
}

const onePending = `"result":{"pending":"0x1","queued":"0x0"}`

// build asks for a payload so long before it is wanted, and tells how long that took.
func build(t *testing.T, e *external.Engine, g *execution.Genesis, within time.Duration) (time.Duration, error) {
	t.Helper()
	start := time.Now()
	_, err := e.Build(t.Context(), engine.BuildRequest{
		Parent: g.Hash(), Timestamp: genesisTime + 2, Withdrawals: []chain.Withdrawal{}, AnswerBy: chain.UnixMilli(start.Add(within).UnixMilli()),
	})
	return time.Since(start), err
}

// TestPoolThatCannotBeAskedDoesNotEndABuild: the question only saves time.
func TestPoolThatCannotBeAskedDoesNotEndABuild(t *testing.T) {
	g := genesisOf(t, execution.Shanghai)
	for name, answer := range map[string]func(ended <-chan struct{}) string{
		"an error": func(<-chan struct{}) string { return `"error":{"code":-32603,"message":"internal error"}` },
		"nothing":  func(ended <-chan struct{}) string { <-ended; return `"result":null` },
	} {
		t.Run(name, func(t *testing.T) {
			e, rpc := openWithRPC(t, g)
			ended := make(chan struct{})
			t.Cleanup(func() { close(ended) })
			rpc.pool(func() string { return answer(ended) })
			took, err := build(t, e, g, 400*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if took < 200*time.Millisecond {
				t.Errorf("it took %s: the client had no time to fill the payload", took)
			}
		})
	}
}

// TestTimeOfTheQuestionIsNotAddedToTheWait: a slow answer about the pool must not make the payload late.
func TestTimeOfTheQuestionIsNotAddedToTheWait(t *testing.T) {
	g := genesisOf(t, execution.Shanghai)
	e, rpc := openWithRPC(t, g)
	rpc.pool(func() string { <-time.After(190 * time.Millisecond); return onePending })
	const within = 400 * time.Millisecond
	for range 5 { // one on time is enough: the machine may be busy
		took, err := build(t, e, g, within)
		if err != nil {
			t.Fatal(err)
		}
		if took <= within+within/8 {
			return
		}
	}
	t.Errorf("every payload that was wanted within %s came late", within)
}

// TestEmptyPoolIsNotWaitedFor has a payload at once.
func TestEmptyPoolIsNotWaitedFor(t *testing.T) {
	g := genesisOf(t, execution.Shanghai)
	e, rpc := openWithRPC(t, g)
	rpc.pool(func() string { return `"result":{"pending":"0x0","queued":"0x0"}` })
	if took, err := build(t, e, g, 10*time.Second); err != nil || took > 5*time.Second {
		t.Errorf("it took %s, %v", took, err)
	}
}
