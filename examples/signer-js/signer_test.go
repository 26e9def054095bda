package signerjs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
	"github.com/alys-node/alys/sdk/wire"
)

// bundle is the one file that `make js` builds.
const bundle = "dist/alys-signer-js"

const password = "pass word\n" // EIP-2335 takes the newline away

var genesis = chain.Hash{0xa1}

// program is the bundle's absolute path.
func program(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes, and needs Node.js")
	}
	path, err := filepath.Abs(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make js`", err)
	}
	return path
}

// keystore seals the key of a seed with one of the two functions of EIP-2335.
func keystore(t *testing.T, kdf string) string {
	t.Helper()
	sealed, err := keystorev4.New(keystorev4.WithCipher(kdf), keystorev4.WithCost(t, 10)).Encrypt(signertest.BLSSecret("js").Bytes(), password)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{"crypto": sealed, "version": 4})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keystore.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func block(t *testing.T, keystore, password string) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]string{"keystore": keystore, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func options(t *testing.T) plugintest.Options {
	t.Helper()
	return plugintest.Options{
		Path: program(t), Kind: lifecycle.Signer, ConfigJSON: block(t, keystore(t, "pbkdf2"), password),
		Host: lifecycle.Host{Genesis: genesis, DataDir: t.TempDir()}, Env: []string{"PATH=" + os.Getenv("PATH")},
	}
}

func describe(t *testing.T) lifecycle.Description {
	t.Helper()
	o := options(t)
	o.Probe = true
	d, err := plugintest.Start(t, o).Plugin().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestConforms runs the suite that every signer in Go runs, over a unix socket with mutual TLS. Each subtest has a process
// of its own.
func TestConforms(t *testing.T) {
	type run struct {
		options plugintest.Options
		pid     int
	}
	running := map[signer.Signer]run{}
	start := func(t *testing.T, o plugintest.Options) signer.Signer {
		t.Helper()
		p := plugintest.Launch(t, o)
		s := p.Client.Signer()
		running[s] = run{o, p.Pid}
		return s
	}
	signertest.Run(t, signertest.Harness{
		Genesis: genesis, Description: describe(t),
		New: func(t *testing.T) signer.Signer {
			t.Helper()
			return start(t, options(t))
		},
		Restart: func(t *testing.T, s signer.Signer) signer.Signer {
			t.Helper()
			if err := syscall.Kill(running[s].pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return start(t, running[s].options)
		},
	})
}

// A slot or height does not fit into a JavaScript number.
func TestNumbersOf64BitsAreExact(t *testing.T) {
	s := plugintest.Start(t, options(t)).Signer()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const far = 1<<63 + 1
	if err := s.RaiseFloor(t.Context(), []signer.Floor{{Key: keys[0].ID, Slot: far, Height: far}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		slot   chain.Slot
		height chain.Height
		want   error
	}{{far, far, signer.ErrRefused}, {far + 1, far - 1, signer.ErrRefused}, {far + 1, far, nil}} {
		h := chain.Header{Version: chain.HeaderVersion, Genesis: genesis, Slot: test.slot, Height: test.height}
		if _, err := s.Approve(t.Context(), signer.Approval{Key: keys[0].ID, Header: h}); !errors.Is(err, test.want) {
			t.Errorf("slot %d, height %d: got %v, want %v", test.slot, test.height, err, test.want)
		}
	}
}

func TestBothKeyDerivationsOpen(t *testing.T) {
	for _, kdf := range []string{"pbkdf2", "scrypt"} {
		o := options(t)
		o.ConfigJSON = block(t, keystore(t, kdf), password)
		keys, err := plugintest.Start(t, o).Signer().Keys(t.Context())
		if want := signer.BLSKey(signertest.BLSPublic("js")); err != nil || len(keys) != 1 || keys[0].ID != want {
			t.Errorf("%s: keys %v, %v, want %s", kdf, keys, err, want)
		}
	}
}

func TestABadBlockIsToldByAttribute(t *testing.T) {
	o := options(t)
	o.Probe = true
	c := plugintest.Start(t, o)
	good := keystore(t, "pbkdf2")
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"version":4,`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, keystore, password, attribute string }{
		{"a wrong password", good, "wrong", "password"},
		{"a missing file", good + ".not", password, "keystore"},
		{"a broken file", broken, password, "keystore"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o.ConfigJSON = block(t, test.keystore, test.password)
			config := plugintest.Config(t, o)
			ds, _, err := c.Plugin().Validate(t.Context(), config)
			if err != nil || !ds.HasErrors() || len(ds[0].Path) != 1 || ds[0].Path[0] != test.attribute {
				t.Errorf("findings %+v, %v, want one at %s", ds, err, test.attribute)
			}
			if files, err := os.ReadDir(config.Host.DataDir); err != nil || len(files) > 0 {
				t.Errorf("validate left %v, %v", files, err)
			}
		})
	}
}

// The order of the lifecycle, the errors' identities, and signals, as sdk/wire/README.md promises them.
func TestLifecycle(t *testing.T) {
	o := options(t)
	o.Probe = true
	p := plugintest.Launch(t, o)
	c, ctx := p.Client, t.Context()
	keys := func() error { _, err := c.Signer().Keys(ctx); return err }
	health := func(want lifecycle.State) {
		t.Helper()
		if h, err := c.Plugin().Health(ctx); err != nil || h.State != want {
			t.Errorf("health %+v, %v, want %s", h, err, want)
		}
	}
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	health(lifecycle.Starting)
	is(keys(), lifecycle.ErrNotConfigured)
	config := plugintest.Config(t, o)
	is(c.Plugin().Configure(ctx, config), nil)
	is(c.Plugin().Configure(ctx, config), lifecycle.ErrConfigured)
	health(lifecycle.Ready)

	if err := syscall.Kill(p.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signal is seen and ignored", func() bool { return strings.Contains(p.Log.String(), "signal ignored") })
	is(keys(), nil)
	is(c.Plugin().Drain(ctx), nil)
	is(c.Plugin().Drain(ctx), nil)
	is(keys(), lifecycle.ErrDraining)
	health(lifecycle.Draining)
	if err := syscall.Kill(p.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drained plugin ends on SIGTERM", p.Exited)
}

func TestADamagedGuardSignsNothing(t *testing.T) {
	o := options(t)
	if err := os.WriteFile(filepath.Join(o.Host.DataDir, "guard.json"), []byte(`{"slot":"1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Probe = true
	c := plugintest.Start(t, o)
	if err := c.Plugin().Configure(t.Context(), plugintest.Config(t, o)); err == nil {
		t.Error("it started with a guard that it cannot read")
	}
	if h, err := c.Plugin().Health(t.Context()); err != nil || h.State != lifecycle.Failed {
		t.Errorf("health %+v, %v, want %s", h, err, lifecycle.Failed)
	}
}

func TestAnotherKindDoesNotStart(t *testing.T) {
	o := options(t)
	o.Kind = lifecycle.Engine
	if _, err := plugintest.TryLaunch(t, o); err == nil || !strings.Contains(err.Error(), "the node started it as") {
		t.Errorf("got %v", err)
	}
}

// TestEndsWhenItsHostIsGone lets a shell that started the plugin die without a word. The program sees that it has another
// parent: nothing here asks the kernel to kill it.
func TestEndsWhenItsHostIsGone(t *testing.T) {
	h := wire.Handshake(lifecycle.Signer)
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(`%s >%s/line 2>%s/log & echo $! >%s/pid; until [ -s %s/line ]; do sleep 0.05; done`,
		program(t), dir, dir, dir, dir))
	shell.Env = []string{
		"PATH=" + os.Getenv("PATH"), h.MagicCookieKey + "=" + h.MagicCookieValue, "PLUGIN_UNIX_SOCKET_DIR=" + dir, "PLUGIN_CLIENT_CERT=" + certificate(t),
	}
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "it ends and removes its socket", func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "plugin*"))
		return err == nil && len(left) == 0
	})
}

// certificate is what a node gives: its own, as PEM. Nobody connects with it here.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(30 * time.Second)
	for !cond() {
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatalf("%s: not in time", what)
		}
	}
}
