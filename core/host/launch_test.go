package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

func TestAGoodPluginComesUpServesAndLeavesNothing(t *testing.T) {
	b := open(t)
	g := b.mustLaunch(tester(""))
	if g.Description.Name != "tester" || g.Number != 1 || g.PID == 0 {
		t.Errorf("generation is %d %+v", g.Number, g.Description)
	}
	if err := call(t.Context(), g); err != nil {
		t.Errorf("call: %v", err)
	}
	if _, err := g.Client().Signer().Approve(t.Context(), approval()); !errors.Is(err, signer.ErrRefused) {
		t.Errorf("refusal came as %v", err)
	}
	s := g.Stats()
	if s.RSS < 1<<20 || s.OpenFiles == 0 || s.Calls < 2 {
		t.Errorf("stats are %+v", s)
	}
	g.Stop(t.Context())
	if !errors.Is(g.Err(), host.ErrStopped) {
		t.Errorf("err after stop: %v", g.Err())
	}
	if err := call(t.Context(), g); !errors.Is(err, signer.ErrUnavailable) || errors.Is(err, context.Canceled) {
		t.Errorf("a stopped generation answered %v", err)
	}
	calls := recorded(b.seen, &b.seen.calls)
	if !has(calls, func(c host.Call) bool {
		return c.Method == "alys.signer.v1.Signer/Approve" && c.Code == codes.PermissionDenied && c.Generation == 1
	}) {
		t.Errorf("the observer did not hear of the refusal: %+v", calls)
	}
	if e := recorded(b.seen, &b.seen.exited); len(e) != 1 || !e[0].Asked {
		t.Errorf("exits told: %+v", e)
	}
}

// approval is a well-formed request.
func approval() signer.Approval {
	return signer.Approval{
		Key:    signer.BLSKey(chain.BLSPublicKey{1}),
		Header: chain.Header{Version: 1, Genesis: chain.Hash{1}, Slot: 1, Height: 1},
	}
}

func has[E any](es []E, ok func(E) bool) bool {
	return slices.ContainsFunc(es, ok)
}

func TestAPluginThatDoesNotComeUpIsExplainedAndLeavesNothing(t *testing.T) {
	short := func(c *host.Config) { c.Timings.Start = 1500 * time.Millisecond }
	for _, c := range []struct {
		name, mode string
		edit       func(*host.Config)
		want       error
		text       []string
	}{
		{"prints on stdout before the handshake", "garbage", nil, host.ErrHandshake, []string{`"Starting up, please wait …"`, "logs belong on stderr"}},
		{"prints without a line end", "endless", nil, host.ErrHandshake, []string{"xxxx"}},
		{"speaks another protocol version", "version", nil, host.ErrProtocolVersion, []string{`"99"`, "version 1"}},
		{"speaks net/rpc", "netrpc", nil, host.ErrHandshake, []string{"gRPC"}},
		{"listens outside its folder", "elsewhere", nil, host.ErrHandshake, []string{"/tmp/elsewhere.sock"}},
		{"exits at once", "exit:3", nil, host.ErrExited, []string{"exit status 3", "cannot open the thing"}},
		{"exits at once with success", "exit:0", nil, host.ErrExited, []string{"exit status 0"}},
		{"panics at once", "panic", nil, host.ErrExited, []string{"panic: the thing is nil"}},
		{"says nothing", "silent", short, host.ErrStartTimeout, []string{"handshake"}},
		{"is frozen", "frozen", short, host.ErrStartTimeout, []string{"handshake"}},
		{"closes stdout and stays", "closes-stdout", nil, host.ErrHandshake, []string{"closed stdout"}},
		{"does not accept its configuration", "refuse", nil, signer.ErrWrongPassword, []string{"keystore"}},
		{"dies while it is configured", "crash-configure", nil, host.ErrExited, []string{"exit status 7"}},
		{"hangs while it is configured", "hang-configure", short, host.ErrStartTimeout, nil},
		{"never gets ready", "slow:60000", short, host.ErrStartTimeout, []string{"warming up"}},
		{"says that it failed", "failed", nil, host.ErrUnhealthy, []string{"disk is gone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var edits []func(*host.Config)
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			b := open(t, edits...)
			_, err := b.launch(tester(c.mode))
			if !errors.Is(err, c.want) {
				t.Fatalf("error is %v, want %v", err, c.want)
			}
			for _, text := range append(c.text, `plugin "signer" "test"`) {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error does not say %q: %v", text, err)
				}
			}
			if pids := descendants(b.dataDir); len(pids) > 0 {
				t.Errorf("processes left before Close: %v", pids)
			}
		})
	}
}

func TestAPluginOfAnotherKindIsNamed(t *testing.T) {
	b := open(t)
	block := tester("")
	block.Kind = lifecycle.Engine
	_, err := b.launch(block)
	if !errors.Is(err, host.ErrWrongKind) {
		t.Fatalf("error is %v", err)
	}
	if !strings.Contains(err.Error(), `"signer"`) {
		t.Errorf("error does not name the kind that it is: %v", err)
	}
	if _, err := b.launch(tester("liar")); !errors.Is(err, host.ErrWrongKind) || !strings.Contains(err.Error(), `"engine"`) {
		t.Errorf("one that does not look at its cookie: %v", err)
	}
}

func TestASlowPluginIsWaitedForAndALockedOneIsUp(t *testing.T) {
	b := open(t)
	g := b.mustLaunch(tester("slow:300"))
	if took := recorded(b.seen, &b.seen.started)[0].Took; took < 300*time.Millisecond {
		t.Errorf("ready after %v", took)
	}
	if g.LastHealth().State != lifecycle.Ready {
		t.Errorf("health is %+v", g.LastHealth())
	}
	block := tester("locked")
	block.Label = "locked"
	if g := b.mustLaunch(block); g.LastHealth().State != lifecycle.Locked {
		t.Errorf("health is %+v", g.LastHealth())
	}
}

func TestAStartEndsWithItsContextAndWithTheHost(t *testing.T) {
	b := open(t)
	digest := b.stage(tester("silent"))
	ctx, cancel := context.WithCancelCause(t.Context())
	errs := make(chan error, 1)
	go func() {
		_, err := b.Launch(ctx, tester("silent"), digest)
		errs <- err
	}()
	eventually(t, "the process runs", func() bool { return len(descendants(b.dataDir)) > 0 })
	why := errors.New("changed my mind")
	cancel(why)
	if err := <-errs; !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
	go func() {
		_, err := b.Launch(t.Context(), tester("silent"), digest)
		errs <- err
	}()
	eventually(t, "the process runs", func() bool { return len(descendants(b.dataDir)) > 0 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, host.ErrClosed) {
		t.Errorf("error is %v", err)
	}
	if _, err := b.Launch(t.Context(), tester(""), digest); !errors.Is(err, host.ErrClosed) {
		t.Errorf("a closed host launched: %v", err)
	}
}

func TestAPluginGetsOnlyTheEnvironmentThatTheBlockNames(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "1")
	b := open(t)
	block := tester("env")
	block.Env["WANTED"] = "yes"
	block.Env["PLUGIN_UNIX_SOCKET_DIR"] = "/elsewhere"
	b.mustLaunch(block)
	eventually(t, "the environment is logged", func() bool { return b.log.has("env WANTED=yes") })
	if b.log.has("SECRET_OF_THE_HOST") || b.log.has("env HOME=") {
		t.Error("the host's environment leaked")
	}
	block.Env["A=B"] = ""
	if _, err := b.launch(block); err == nil {
		t.Error("a name with = was accepted")
	}
}

func TestALabelCannotLeaveTheDataFolder(t *testing.T) {
	b := open(t)
	for _, label := range []string{"", "..", "a/b", "../../x", strings.Repeat("x", 65)} {
		block := tester("")
		block.Label = label
		if _, err := b.launch(block); err == nil {
			t.Errorf("label %q was accepted", label)
		}
	}
	block := tester("")
	block.Kind = "teapot"
	if _, err := b.launch(block); err == nil {
		t.Error("kind teapot was accepted")
	}
}

func TestGenerationsCountUpOverTheLifeOfTheDataFolder(t *testing.T) {
	b := open(t)
	g := b.mustLaunch(tester(""))
	g.Stop(t.Context())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	dir, _ := plugins()
	again, err := host.New(host.Config{DataDir: b.dataDir, PluginDir: dir, Timings: quick()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	next, err := again.Launch(t.Context(), tester(""), g.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if next.Number <= g.Number {
		t.Errorf("generation %d came after %d", next.Number, g.Number)
	}
	state, err := os.ReadFile(filepath.Join(b.dataDir, "state", "signer", "test", "configured"))
	if err != nil || string(state) != "2" {
		t.Errorf("state folder holds %q, %v", state, err)
	}
}

func TestABlockDoesNotPrintItsSecrets(t *testing.T) {
	block := tester("")
	block.ConfigJSON = []byte(`{"password":"hunter2"}`)
	for _, s := range []string{block.String(), block.GoString()} {
		if strings.Contains(s, "hunter2") || s != `plugin "signer" "test"` {
			t.Errorf("printed as %s", s)
		}
	}
}
