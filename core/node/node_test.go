package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text is a configuration whose plugins are the test's own binary.
func text(t *testing.T, more string) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	plugin := func(kind, label, as string) string {
		return fmt.Sprintf("plugin %q %q {\n  command = %q\n  env = { ALYS_NODE_TEST_PLUGIN = %q }\n}\n", kind, label, self, "as-"+as)
	}
	return `
node {
  name     = "n"
  data_dir = "./data"
}
chain {
  spec = "dev"
}
listener "wallet" {
  address = "127.0.0.1:0"
}
listener "p2p" {
  address = "127.0.0.1:0"
}

listener "metrics" {
  address = "127.0.0.1:0"
}
swap {
  probation       = "0s"
  health_interval = "1s"
}
` + plugin("signer", "a", "signer") + plugin("signer", "b", "signer") + plugin("signer", "stranger", "stranger") +
		plugin("engine", "memory", "engine") + plugin("engine", "signer", "signer") + plugin("sync", "memory", "sync") + more
}

const roles = `
role "signer" {
  primary = plugin.signer.a
}
role "engine" {
  primary = plugin.engine.memory
}
role "sync" {
  primary = plugin.sync.memory
}
`

// folder is a short path: a socket's is limited.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") //nolint:usetesting // t.TempDir is too long for a socket
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

func write(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "alys.hcl")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// options are those of `alys run` on a folder.
func options(t *testing.T, dir string) node.Options {
	t.Helper()
	path := filepath.Join(dir, "alys.hcl")
	load := func(p string, vars map[string]string, files []string) (*config.Config, config.Diagnostics) {
		if p == "" {
			p = path
		}
		return config.Load(p, config.Options{Vars: vars, VarFiles: files})
	}
	c, diags := load("", nil, nil)
	must(t, diags.Err())
	return node.Options{Config: c, Load: load, Version: "test", Log: hclog.NewNullLogger()}
}

// running is a node that runs.
type running struct {
	*node.Node
	t      *testing.T
	dir    string
	client *admin.Client
	blocks chan chain.Ref
	said   chan string
	stop   context.CancelFunc
	done   chan error
}

func run(t *testing.T, dir string) *running {
	t.Helper()
	r := &running{t: t, dir: dir, blocks: make(chan chain.Ref, 1024), said: make(chan string, 1024), done: make(chan error, 1)}
	o := options(t, dir)
	o.Event = func(e node.Event) {
		if e.Block != nil {
			r.blocks <- e.Block.Head
		}
		if e.Text != "" {
			r.said <- e.Text
		}
	}
	n, err := node.New(t.Context(), o)
	must(t, err)
	r.Node, r.client = n, admin.NewClient(o.Config.Node.AdminSocket)
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.done <- n.Run(ctx) }()
	return r
}

// block waits for the next block.
func (r *running) block() chain.Ref {
	r.t.Helper()
	for len(r.blocks) > 0 {
		<-r.blocks
	}
	select {
	case b := <-r.blocks:
		return b
	case err := <-r.done:
		r.t.Fatalf("the node ended: %v", err)
	case <-time.After(20 * time.Second):
		r.t.Fatal("no block")
	}
	return chain.Ref{}
}

func (r *running) end() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		must(r.t, err)
	case <-time.After(20 * time.Second):
		r.t.Fatal("the node does not end")
	}
}

func (r *running) status() admin.Status {
	r.t.Helper()
	s, err := r.client.Status(r.t.Context())
	must(r.t, err)
	return s
}

// apply plans what the file says and applies it.
func (r *running) apply() (string, error) {
	r.t.Helper()
	p, err := r.client.Plan(r.t.Context(), admin.Source{})
	must(r.t, err)
	if p.Invalid {
		r.t.Fatalf("the file is invalid:\n%s", p.Rendered)
	}
	return r.client.Apply(r.t.Context(), admin.ApplyRequest{Serial: p.Serial, Hash: p.Hash, By: "test"}, func(admin.Progress) {})
}

func wantCode(t *testing.T, err error, code string, parts ...string) {
	t.Helper()
	var e *admin.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want an error with the code %s", err, code)
		return
	}
	for _, p := range parts {
		if !strings.Contains(e.Message+e.Hint, p) {
			t.Errorf("%q with hint %q does not say %q", e.Message, e.Hint, p)
		}
	}
}

func TestNodeIsOperated(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for slots")
	}
	t.Parallel()
	dir := folder(t)
	write(t, dir, text(t, roles))
	r := run(t, dir)
	first := r.block()

	t.Run("status tells what runs", func(t *testing.T) {
		s := r.status()
		signer := s.Roles["signer"]
		switch {
		case !s.Ready || s.Drift || s.Serial == 0 || s.Name != "n" || s.Head.Height < first.Height:
			t.Errorf("status %+v", s)
		case signer.Route.Primary != "a" || len(signer.Generations) != 1 || signer.Generations[0].State != "ready" || signer.Generations[0].PID == 0:
			t.Errorf("role signer %+v", signer)
		case len(s.Keys) != 1 || s.Keys[0].Plugin != "a":
			t.Errorf("keys %+v", s.Keys)
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/v1/status"} {
			resp, err := http.Get("http://" + s.Listeners["metrics"] + path)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: status %d", path, resp.StatusCode)
			}
		}
	})
	t.Run("a plan of what runs is nothing to do", func(t *testing.T) {
		p, err := r.client.Plan(t.Context(), admin.Source{})
		must(t, err)
		if !p.NoOp || p.Invalid || len(p.Restart) > 0 {
			t.Errorf("plan %+v", p)
		}
	})
	t.Run("a signer is swapped and blocks go on", func(t *testing.T) {
		write(t, dir, text(t, strings.Replace(roles, "signer.a", "signer.b", 1)))
		p, err := r.client.Plan(t.Context(), admin.Source{})
		must(t, err)
		if p.NoOp || p.Gap {
			t.Errorf("plan %s", p.Text)
		}
		_, err = r.client.Apply(t.Context(), admin.ApplyRequest{Serial: p.Serial, Hash: p.Hash, By: "test"}, func(admin.Progress) {})
		must(t, err)
		r.block()
		s := r.status()
		if s.Roles["signer"].Route.Primary != "b" || s.Roles["signer"].LastSwap == nil || s.MissedOwn != 0 {
			t.Errorf("after the swap: %+v, %d slots missed", s.Roles["signer"], s.MissedOwn)
		}
		_, err = r.client.Apply(t.Context(), admin.ApplyRequest{Serial: p.Serial, Hash: p.Hash}, func(admin.Progress) {})
		wantCode(t, err, "conflict", "alys plan")
	})
	t.Run("and back", func(t *testing.T) {
		_, err := r.client.Rollback(t.Context(), admin.RollbackRequest{Role: "signer", By: "test"}, func(admin.Progress) {})
		must(t, err)
		if got := r.status().Roles["signer"].Route.Primary; got != "a" {
			t.Errorf("primary is %s", got)
		}
		_, err = r.client.Rollback(t.Context(), admin.RollbackRequest{Role: "engine"}, func(admin.Progress) {})
		wantCode(t, err, "refused")
		_, err = r.client.Rollback(t.Context(), admin.RollbackRequest{Role: "kitchen"}, func(admin.Progress) {})
		if err == nil {
			t.Error("a role that does not exist was rolled back")
		}
		write(t, dir, text(t, roles))
	})
	t.Run("a signer without our key is not admitted", func(t *testing.T) {
		write(t, dir, text(t, strings.Replace(roles, "signer.a", "signer.stranger", 1)))
		defer write(t, dir, text(t, roles))
		if _, err := r.apply(); err == nil || !strings.Contains(err.Error(), "does not hold a key") {
			t.Errorf("got %v", err)
		}
		if got := r.status().Roles["signer"].Route.Primary; got != "a" {
			t.Errorf("primary is %s", got)
		}
	})
	t.Run("what is wrong in the file is told with its place", func(t *testing.T) {
		for name, change := range map[string]struct{ text, want string }{
			"no HCL":                        {"role {", "other.hcl:1"},
			"a plugin of another kind":      {text(t, strings.Replace(roles, "engine.memory", "engine.signer", 1)), "other.hcl:"},
			"what this version does not do": {text(t, roles+"bitcoin {\n  url = \"http://127.0.0.1:1\"\n}\n"), "not supported"},
			"the data of another node":      {strings.Replace(text(t, roles), "./data", "./other", 1), "another node"},
		} {
			path := filepath.Join(dir, "other.hcl")
			must(t, os.WriteFile(path, []byte(change.text), 0o600))
			p, err := r.client.Plan(t.Context(), admin.Source{Path: path})
			must(t, err)
			if !p.Invalid || !strings.Contains(p.Rendered, change.want) {
				t.Errorf("%s: invalid %v:\n%s", name, p.Invalid, p.Rendered)
			}
		}
		_, err := r.client.Apply(t.Context(), admin.ApplyRequest{Source: admin.Source{Path: filepath.Join(dir, "none.hcl")}}, func(admin.Progress) {})
		wantCode(t, err, "invalid", "alys plan")
	})
	t.Run("a reload of a broken file changes nothing, one of a good file applies it", func(t *testing.T) {
		write(t, dir, "role {")
		r.Reload(t.Context(), "test")
		write(t, dir, text(t, strings.Replace(roles, "signer.a", "signer.a\n  fallback = plugin.signer.b", 1)))
		r.Reload(t.Context(), "test")
		if got := r.status().Roles["signer"].Route; got.Primary != "a" || got.Fallback != "b" {
			t.Errorf("route is %+v", got)
		}
	})
	t.Run("the guard is exported and imported", func(t *testing.T) {
		raw, err := r.client.GuardExport(t.Context())
		must(t, err)
		out, err := r.client.GuardImport(t.Context(), raw)
		must(t, err)
		if out.Keys != 1 || out.Raised != 0 {
			t.Errorf("imported %+v", out)
		}
	})
	t.Run("keys are asked of the right signer", func(t *testing.T) {
		wantCode(t, r.client.Unlock(t.Context(), admin.UnlockRequest{}), "unknown", "a, b")
		wantCode(t, r.client.Unlock(t.Context(), admin.UnlockRequest{Plugin: "nobody"}), "unknown", "nobody")
		wantCode(t, r.client.Unlock(t.Context(), admin.UnlockRequest{Plugin: "b", Password: []byte("x")}), "refused")
		_, err := r.client.CreateKey(t.Context(), admin.CreateKeyRequest{Plugin: "b", Purpose: "approval"})
		wantCode(t, err, "refused")
		keys := r.status().Keys
		if len(keys) == 0 || keys[0].Set != admin.KeyInSet {
			t.Fatalf("keys are %+v, want one of the authority set", keys)
		}
		_, err = r.client.ExportKey(t.Context(), admin.ExportKeyRequest{Plugin: "b", Key: keys[0].ID, Password: []byte("x")})
		wantCode(t, err, "refused")
		_, err = r.client.ExportKey(t.Context(), admin.ExportKeyRequest{Key: "bls:0x", Password: []byte("x")})
		wantCode(t, err, "unknown")
		offline := options(t, dir).Config
		if _, err := node.CreateKeyOffline(t.Context(), offline, admin.CreateKeyRequest{Plugin: "a"}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("a signer was started beside the node's own: %v", err)
		}
	})
	t.Run("an engine that dies comes back and is caught up", func(t *testing.T) {
		pid := r.status().Roles["engine"].Generations[0].PID
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		before := r.status().Head.Height
		for r.block().Height <= before {
		}
		if got := r.status().Roles["engine"].Generations[0]; got.PID == pid || got.Restarts != 1 {
			t.Errorf("generation %+v", got)
		}
	})
	t.Run("a second node on the folder does not start, and leaves nothing open", func(t *testing.T) {
		_, err := node.New(t.Context(), options(t, dir))
		if !errors.Is(err, store.ErrLocked) {
			t.Errorf("got %v, want ErrLocked", err)
		}
	})
	last := r.status()
	r.end()
	if _, err := r.client.Status(t.Context()); !errors.Is(err, admin.ErrNoNode) {
		t.Errorf("after the end the socket says %v", err)
	}
	l, err := net.Listen("tcp", last.Listeners["wallet"])
	must(t, err)
	must(t, l.Close())

	again := run(t, dir)
	if b := again.block(); b.Height < last.Head.Height {
		t.Errorf("after a restart the head is %d, it was %d", b.Height, last.Head.Height)
	}
	if s := again.status(); s.Roles["signer"].Route.Fallback != "b" || s.Serial < last.Serial {
		t.Errorf("after a restart: serial %d, signer %+v", s.Serial, s.Roles["signer"].Route)
	}
	again.end()

	raw, err := node.GuardExportOffline(t.Context(), filepath.Join(dir, "data"))
	must(t, err)
	if out, err := node.GuardImportOffline(t.Context(), filepath.Join(dir, "data"), raw); err != nil || out.Keys != 1 {
		t.Errorf("offline: %+v %v", out, err)
	}
	keys, err := node.KeysOffline(t.Context(), options(t, dir).Config)
	must(t, err)
	if len(keys) != 2 { // of a and b; the stranger has none
		t.Errorf("keys offline: %+v", keys)
	}
}

func TestNodeThatCannotStartLeavesNothingOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	for _, test := range []struct {
		name   string
		change func(string) string
		want   string
	}{
		{"the metrics port is taken", func(s string) string {
			return strings.Replace(s, "listener \"metrics\" {\n  address = \"127.0.0.1:0\"", "listener \"metrics\" {\n  address = \""+taken.Addr().String()+"\"", 1)
		}, "listener \"metrics\""},
		{"the socket's path is too long", func(s string) string {
			return strings.Replace(s, "data_dir = \"./data\"", "data_dir = \"./"+strings.Repeat("long/", 25)+"data\"", 1)
		}, "admin socket"},
		{"it asks for what is not there", func(s string) string { return s + "backup {\n  interval = \"1h\"\n}\n" }, "backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			wallet := free.Addr().String()
			must(t, free.Close())
			dir := folder(t)
			write(t, dir, test.change(strings.Replace(text(t, roles), "127.0.0.1:0", wallet, 1)))
			_, diags := config.Load(filepath.Join(dir, "alys.hcl"), config.Options{})
			if err := diags.Err(); err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want what says %q", err, test.want)
				}
				return
			}
			if _, err := node.New(t.Context(), options(t, dir)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want what says %q", err, test.want)
			}
			l, err := net.Listen("tcp", wallet)
			must(t, err)
			must(t, l.Close())
		})
	}
}

func TestNodeWhosePluginsDoNotStartEndsWithTheReason(t *testing.T) {
	for name, test := range map[string]struct{ roles, want string }{
		"a plugin of another kind": {strings.Replace(roles, "engine.memory", "engine.signer", 1), "plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			write(t, dir, text(t, test.roles))
			n, err := node.New(t.Context(), options(t, dir))
			must(t, err)
			if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "start plugins") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestValidateAsksThePlugins(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, text(t, roles))
	diags := node.Validate(t.Context(), options(t, dir).Config)
	if err := diags.Err(); err == nil || !strings.Contains(err.Error(), "kind") || strings.Count(err.Error(), "alys.hcl") > 3 {
		t.Errorf("got %v, want one finding: plugin engine.signer is a signer", err)
	}
	c := options(t, dir).Config
	sum, err := node.Checksum(t.Context(), c, c.Plugins[0])
	must(t, err)
	if !strings.HasPrefix(sum, "sha256:") || len(sum) != len("sha256:")+64 {
		t.Errorf("checksum %q", sum)
	}
	if _, err := node.CreateKeyOffline(t.Context(), c, admin.CreateKeyRequest{Purpose: "approval"}); err == nil || !strings.Contains(err.Error(), "--plugin") {
		t.Errorf("a key in one of several signers: %v", err)
	}
	if _, err := node.CreateKeyOffline(t.Context(), c, admin.CreateKeyRequest{Plugin: "nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a key in a signer that is not there: %v", err)
	}
	if _, err := node.CreateKeyOffline(t.Context(), c, admin.CreateKeyRequest{Plugin: "a", Purpose: "approval"}); err == nil {
		t.Error("a signer that makes no keys made one")
	}
	export := admin.ExportKeyRequest{Plugin: "nobody", Key: "bls:0x", Password: []byte("x")}
	if _, err := node.ExportKeyOffline(t.Context(), c, export, nil); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a key of a signer that is not there: %v", err)
	}
	export.Plugin = "a"
	_, err = node.ExportKeyOffline(t.Context(), c, export, nil)
	wantCode(t, err, "unknown")
	export.Key = string(signer.BLSKey(spec.Dev().Authorities[0].Keys[0]))
	_, err = node.ExportKeyOffline(t.Context(), c, export, nil)
	wantCode(t, err, "refused")
	if _, err := node.GuardExportOffline(t.Context(), filepath.Join(dir, "nothing")); err == nil {
		t.Error("the guard of a folder that is not there was exported")
	}
}
