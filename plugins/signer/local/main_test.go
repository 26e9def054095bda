package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/keystore"
	"github.com/alys-node/alys/sdk/keystore/keystoretest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

var genesis = chain.TaggedHash("test/genesis")

const password = "correct horse"

// binary is the compiled plugin, made once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "alys-signer-local")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "alys-signer-local")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the plugin: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// makeKeys makes a folder with an approval key and a Bitcoin key.
func makeKeys(t *testing.T) string {
	t.Helper()
	return keystoretest.Folder(t, map[string][]byte{
		"a.json": keystoretest.New(t, keystore.BLS12381, password),
		"b.json": keystoretest.New(t, keystore.Secp256k1, password),
	})
}

// instance is one configured plugin that can be killed and started again.
type instance struct {
	options plugintest.Options
	process *plugintest.Process
}

func options(t *testing.T, keys, dataDir string) plugintest.Options {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"keystore": keys, "password": password, "unlock": "config", "allow_export": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return plugintest.Options{
		Path: binary, Kind: lifecycle.Signer, ConfigJSON: config,
		Host: lifecycle.Host{Label: "local", DataDir: dataDir, Genesis: genesis},
	}
}

func launch(t *testing.T, o plugintest.Options) *instance {
	t.Helper()
	return &instance{o, plugintest.Launch(t, o)}
}

// kill ends the process with SIGKILL and waits until it is gone.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(i.process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !i.process.Exited() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the process outlived SIGKILL")
		}
	}
}

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process for each rule")
	}
	probe := plugintest.Start(t, plugintest.Options{Path: binary, Kind: lifecycle.Signer, Probe: true})
	description, err := probe.Plugin().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	running := map[signer.Signer]*instance{}
	up := func(t *testing.T, o plugintest.Options) signer.Signer {
		i := launch(t, o)
		s := i.process.Client.Signer()
		running[s] = i
		return s
	}
	signertest.Run(t, signertest.Harness{
		Genesis: genesis, Description: description,
		New: func(t *testing.T) signer.Signer { return up(t, options(t, makeKeys(t), t.TempDir())) },
		Restart: func(t *testing.T, s signer.Signer) signer.Signer {
			running[s].kill(t)
			return up(t, running[s].options)
		},
	})
}

// TestKilledAtAnyMomentNothingIsSignedTwice kills the process with SIGKILL while it answers, starts it again on the same
// folder, and asks for rivals of every block that may have been signed.
func TestKilledAtAnyMomentNothingIsSignedTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	o := options(t, makeKeys(t), t.TempDir())
	slot := chain.Slot(0)
	for range 10 {
		i := launch(t, o)
		s := i.process.Client.Signer()
		key := approvalKey(t, s)
		answered := make(map[chain.Slot]chain.BLSSignature)
		asked := make(chan chain.Slot)
		go func() {
			defer close(asked)
			for {
				slot++
				sig, err := s.Approve(t.Context(), signer.Approval{Key: key, Header: header(slot, 1)})
				if err != nil {
					return
				}
				answered[slot] = sig
				asked <- slot
			}
		}()
		for range rand.IntN(20) {
			<-asked
		}
		i.kill(t)
		for range asked { // until the caller has seen the death
		}

		again := launch(t, o)
		s = again.process.Client.Signer()
		for at, sig := range answered {
			if _, err := s.Approve(t.Context(), signer.Approval{Key: key, Header: header(at, 2)}); !errors.Is(err, signer.ErrRefused) {
				t.Fatalf("a rival at slot %s: got %v, want a refusal", at, err)
			}
			if same, err := s.Approve(t.Context(), signer.Approval{Key: key, Header: header(at, 1)}); err != nil || same != sig {
				t.Fatalf("the same block at slot %s: got %v, want the same signature", at, err)
			}
		}
		again.kill(t)
	}
}

// TestSecretsStayInTheProcess looks at what the process lets others see.
func TestSecretsStayInTheProcess(t *testing.T) {
	i := launch(t, options(t, makeKeys(t), t.TempDir()))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.process.Pid))
	if err != nil {
		t.Skip("no /proc")
	}
	if _, rest, ok := strings.Cut(string(status), "VmLck:"); !ok || strings.HasPrefix(strings.TrimSpace(rest), "0 kB") {
		t.Error("no memory is locked")
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", i.process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, ok := strings.Cut(string(limits), "Max core file size"); !ok || strings.Fields(rest)[0] != "0" {
		t.Error("the process may write a core dump")
	}
	if log := i.process.Log.String(); strings.Contains(log, password) {
		t.Error("the password is in the log")
	}
}

func approvalKey(t *testing.T, s signer.Signer) signer.KeyID {
	t.Helper()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Purpose == signer.PurposeApproval {
			return k.ID
		}
	}
	t.Fatal("no approval key")
	return ""
}

func header(slot chain.Slot, n byte) chain.Header {
	return chain.Header{Version: chain.HeaderVersion, Genesis: genesis, Slot: slot, Height: chain.Height(slot), BodyRoot: chain.Hash{n}}
}
