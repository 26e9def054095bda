// Testplugin is a signer that misbehaves on request: TESTPLUGIN_MODE, a word and perhaps a number ("crash:3").
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugin"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
)

func main() {
	mode, arg, _ := strings.Cut(os.Getenv("TESTPLUGIN_MODE"), ":")
	n, _ := strconv.Atoi(arg)
	early(mode, n)
	plugin.Serve(func(log hclog.Logger) lifecycle.Plugin { return &tester{mode: mode, n: n, log: log} })
}

// early is what happens before the handshake.
func early(mode string, n int) {
	switch mode {
	case "garbage":
		fmt.Println("Starting up, please wait …")
		select {}
	case "endless":
		for {
			fmt.Print(strings.Repeat("x", 4096))
		}
	case "version":
		fmt.Println("1|99|unix|/nowhere|grpc|" + strings.Repeat("A", 100))
		select {}
	case "netrpc":
		fmt.Println("1|1|unix|/nowhere|netrpc|")
		select {}
	case "elsewhere":
		fmt.Println("1|1|unix|/tmp/elsewhere.sock|grpc|" + strings.Repeat("A", 100))
		select {}
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot open the thing")
		os.Exit(n)
	case "panic":
		panic("the thing is nil")
	case "silent":
		time.Sleep(time.Hour)
	case "closes-stdout":
		_ = os.Stdout.Close()
		time.Sleep(time.Hour)
	case "frozen":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}

type tester struct {
	mode  string
	n     int
	log   hclog.Logger
	calls atomic.Int64
	ready atomic.Bool
}

func (t *tester) Describe() lifecycle.Description {
	kind := lifecycle.Signer
	if t.mode == "liar" && strings.Contains(string(debug.Stack()), "pluginServer).Describe") {
		kind = lifecycle.Engine // over the wire only: the SDK itself would not start such a plugin
	}
	return lifecycle.Description{Kind: kind, Name: "tester", Version: "1.2.3", Deterministic: true}
}

func (t *tester) Schema() schema.Block {
	return schema.Block{Attributes: []schema.Attribute{{Name: "path", Type: schema.String, Doc: "a path"}}}
}

type config struct {
	Path string `json:"path"`
}

func (t *tester) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	var v config
	if err := c.Decode(&v); err != nil {
		return diag.Diagnostics{diag.Errorf(nil, "", "%v", err)}
	}
	if v.Path == "bad" {
		return diag.Diagnostics{diag.Errorf([]string{"path"}, "name another", "the path is bad")}
	}
	if c.Host.DataDir == "" || c.Host.Generation != 0 {
		return diag.Diagnostics{diag.Errorf(nil, "", "a probe was not told where its data folder would be, or got a generation")}
	}
	return nil
}

func (t *tester) Resources(_ context.Context, c lifecycle.Config) ([]lifecycle.Resource, error) {
	var v config
	err := c.Decode(&v)
	if v.Path == "own" {
		v.Path = c.Host.DataDir
	}
	return []lifecycle.Resource{{Kind: "path", Value: v.Path}}, err
}

func (t *tester) Configure(ctx context.Context, c lifecycle.Config) error {
	if err := os.WriteFile(c.Host.DataDir+"/configured", []byte(strconv.FormatUint(c.Host.Generation, 10)), 0o600); err != nil {
		return err
	}
	switch t.mode {
	case "refuse":
		return fmt.Errorf("keystore: %w", signer.ErrWrongPassword)
	case "slow":
		time.AfterFunc(time.Duration(t.n)*time.Millisecond, func() { t.ready.Store(true) })
	case "crash-configure":
		os.Exit(7)
	case "hang-configure":
		<-ctx.Done()
		return context.Cause(ctx)
	case "child":
		// Children that outlive their parent: one in the group, one that left it.
		_ = exec.Command("/bin/sleep", "3600").Start()
		away := exec.Command("/bin/sleep", "3601")
		away.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		away.Stdout, away.Stderr = os.Stdout, os.Stderr
		_ = away.Start()
	case "flood":
		for i := range t.n {
			t.log.Info("flood", "i", i)
		}
	case "prints":
		fmt.Println("a stray print")
		fmt.Fprintln(os.Stderr, "[WARN] a stray warning")
	case "env":
		for _, e := range os.Environ() {
			if !strings.HasPrefix(e, "PLUGIN_CLIENT_CERT=") {
				t.log.Info("env " + e)
			}
		}
	}
	return nil
}

func (t *tester) Health(context.Context) (lifecycle.Health, error) {
	switch {
	case t.mode == "slow" && !t.ready.Load():
		return lifecycle.Health{State: lifecycle.Starting, Message: "warming up"}, nil
	case t.mode == "locked":
		return lifecycle.Health{State: lifecycle.Locked, Message: "password wanted"}, nil
	case t.mode == "sick" && t.calls.Load() > 0:
		return lifecycle.Health{State: lifecycle.Degraded, Message: "disk is slow"}, nil
	case t.mode == "failed", t.mode == "fails" && t.calls.Load() > 0:
		return lifecycle.Health{State: lifecycle.Failed, Message: "disk is gone"}, nil
	}
	return lifecycle.Health{State: lifecycle.Ready, Progress: uint64(t.calls.Load())}, nil
}

func (t *tester) Drain(context.Context) error {
	if t.mode == "exit-drain" {
		os.Exit(0)
	}
	return nil
}

func (t *tester) Keys(ctx context.Context) ([]signer.Key, error) {
	call := t.calls.Add(1)
	switch {
	case t.mode == "crash" && call >= int64(t.n):
		go func() { panic("crash as asked") }()
		<-ctx.Done()
	case t.mode == "freeze" && call >= int64(t.n):
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-ctx.Done()
	case t.mode == "work":
		select {
		case <-time.After(time.Duration(t.n) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

func (t *tester) Approve(context.Context, signer.Approval) (chain.BLSSignature, error) {
	return chain.BLSSignature{}, signer.ErrRefused
}

func (t *tester) SignBitcoin(context.Context, signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return signer.BitcoinAnswer{}, errors.New("no such thing")
}

func (t *tester) Prove(context.Context, signer.Challenge) (signer.Proof, error) {
	return signer.Proof{}, signer.ErrUnknownKey
}
