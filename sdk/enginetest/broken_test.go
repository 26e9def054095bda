package enginetest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
)

// trusting believes every payload that has a known parent.
type trusting struct{ *enginetest.Memory }

func (e trusting) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	out, err := e.Memory.Import(ctx, r)
	for i, s := range out.Statuses {
		if s.Verdict == engine.Invalid {
			out.Statuses[i].Verdict = engine.Valid
		}
	}
	return out, err
}

// staying never moves its head.
type staying struct{ *enginetest.Memory }

func (e staying) Import(ctx context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	r.Forkchoice = nil
	return e.Memory.Import(ctx, r)
}

// mislabelled gives payloads a hash that is not theirs.
type mislabelled struct{ *enginetest.Memory }

func (e mislabelled) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	d, err := e.Memory.Build(ctx, r)
	d.Payload.GasLimit++
	return d, err
}

// silent has no receipts.
type silent struct{ *enginetest.Memory }

func (silent) Receipts(context.Context, chain.Hash) ([]chain.Receipt, error) { return nil, nil }

// broken lists engines that break one rule each, and the subtest that must fail for it.
func broken() map[string]struct {
	e    func(*enginetest.Memory) engine.Engine
	want string
} {
	return map[string]struct {
		e    func(*enginetest.Memory) engine.Engine
		want string
	}{
		"trusting":    {func(m *enginetest.Memory) engine.Engine { return trusting{m} }, "a_tampered_payload_is_INVALID"},
		"staying":     {func(m *enginetest.Memory) engine.Engine { return staying{m} }, "a_built_payload_is_imported_and_becomes"},
		"mislabelled": {func(m *enginetest.Memory) engine.Engine { return mislabelled{m} }, "a_built_payload_has_the_hash"},
		"silent":      {func(m *enginetest.Memory) engine.Engine { return silent{m} }, "receipts_of_an_executed_block"},
		"lying": {func(m *enginetest.Memory) engine.Engine {
			return enginetest.Lying{Memory: m, Height: 5}
		}, "many_payloads_are_imported"},
		"failing": {func(m *enginetest.Memory) engine.Engine {
			return enginetest.WithFault(m, enginetest.Failing(engine.ErrUnavailable))
		}, "status: engine is unavailable"},
	}
}

// TestBrokenEngine runs the suite on one broken engine. It is started by TestSuiteFindsBrokenEngines only.
func TestBrokenEngine(t *testing.T) {
	which, ok := broken()[os.Getenv("ALYS_BROKEN")]
	if !ok {
		t.Skip("run by TestSuiteFindsBrokenEngines")
	}
	enginetest.Run(t, harness(t, func(t *testing.T) engine.Engine { return which.e(newMemory(t, nil)) }))
}

func TestSuiteFindsBrokenEngines(t *testing.T) {
	for name, b := range broken() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokenEngine$")
			cmd.Env = append(os.Environ(), "ALYS_BROKEN="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passes")
			}
			if !strings.Contains(string(out), b.want) {
				t.Errorf("the suite does not say %q:\n%s", b.want, out)
			}
		})
	}
}
