package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/config"
)

func TestDefaultsAreTheDesigns(t *testing.T) {
	c := mustLoadIn(t, "/etc/alys", base, config.Options{})
	wantSwap := config.Swap{
		Limits: config.Limits{
			StartTimeout: 10 * time.Second, HealthInterval: 5 * time.Second, HealthTimeout: 2 * time.Second, HealthFailures: 3,
			DrainTimeout: 5 * time.Second, MaxMessage: 64 << 20, MaxInFlight: 256,
		},
		AdmissionTimeout: time.Minute, AdmissionSamples: 30, HandoverTimeout: 10 * time.Second, Probation: time.Minute,
		ProbationCalls: 30, FlipBackFailures: 2, FlipBackCalls: 300, FlipBackLatency: 2, ShadowQueue: 1024,
		ShadowBytes: 64 << 20, PrimaryShare: 0.4, FallbackShare: 0.3,
	}
	wantRestart := config.Restart{
		Initial: 100 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Jitter: 0.2, ResetAfter: time.Minute,
		BreakerFailures: 5, BreakerWindow: 2 * time.Minute, BreakerHalfOpen: 30 * time.Second,
	}
	if diff := cmp.Diff(wantSwap, c.Swap); diff != "" {
		t.Errorf("swap (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantRestart, c.Restart); diff != "" {
		t.Errorf("restart (-want +got):\n%s", diff)
	}
	p, ok := c.Plugin(config.PluginID{Kind: "engine", Name: "v5"})
	if !ok || p.Limits != c.Swap.Limits || p.Restart != c.Restart {
		t.Errorf("a plugin without limits of its own has not the node's: %+v", p)
	}
	got := []any{
		c.Node.DataDir, c.Node.AdminSocket, c.Network.IdentityKey, c.Backup.Dir, c.Dir, c.Chain.Spec, c.Chain.SpecPath,
		c.Listeners.Wallet.Address, c.Listeners.Miner.Address, c.Listeners.Metrics.Address, c.Listeners.P2P.Address,
		c.Listeners.Wallet.Enabled, c.Listeners.Admin.Enabled, c.Validator == nil, c.Bitcoin == nil, c.Node.PluginDir,
	}
	want := []any{
		"/etc/alys/data", "/etc/alys/data/alys.sock", "/etc/alys/data/p2p.key", "/etc/alys/data/backups", "/etc/alys", "dev", "",
		"127.0.0.1:8545", "127.0.0.1:3000", "127.0.0.1:9001", "127.0.0.1:30300", true, false, true, true, "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestPluginLimitsOverrideTheNodes(t *testing.T) {
	src := strings.Replace(base, `command = "alys-engine-v5"`, `command       = "alys-engine-v5"
  drain_timeout = "1s"
  restart {
    max = "5s"
  }`, 1) + "swap {\n  start_timeout = \"20s\"\n}\nrestart {\n  jitter = 0.5\n}\n"
	c := mustLoad(t, src, config.Options{})
	p, _ := c.Plugin(config.PluginID{Kind: "engine", Name: "v5"})
	if p.Limits.DrainTimeout != time.Second || p.Limits.StartTimeout != 20*time.Second || p.Limits.MaxInFlight != 256 {
		t.Errorf("limits: %+v", p.Limits)
	}
	if p.Restart.Max != 5*time.Second || p.Restart.Jitter != 0.5 || p.Restart.Initial != 100*time.Millisecond {
		t.Errorf("restart: %+v", p.Restart)
	}
}

func TestStrongerSourcesOfVariablesWin(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := file("one.hcl", `level = "debug"`), file("two.hcl", `level = "warn"`)
	src := base + "variable \"level\" {\n  type    = string\n  default = \"info\"\n}\nlog {\n  level = var.level\n}\n"
	env := func(name string) (string, bool) { return "trace", name == "ALYS_VAR_level" }
	cases := []struct {
		name, want string
		opts       config.Options
	}{
		{"the default", "info", config.Options{}},
		{"the environment over the default", "trace", config.Options{Env: env}},
		{"a file over the environment", "debug", config.Options{Env: env, VarFiles: []string{one}}},
		{"a later file over an earlier one", "warn", config.Options{Env: env, VarFiles: []string{one, two}}},
		{"-var over all", "error", config.Options{Env: env, VarFiles: []string{one, two}, Vars: map[string]string{"level": "error"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := mustLoad(t, src, c.opts).Log.Level; got != c.want {
				t.Errorf("level %q, want %q", got, c.want)
			}
		})
	}
	bad := file("bad.hcl", "lvl = \"x\"\nlevel = upper(\"x\")\nblock {\n}\n")
	_, ds := loadText(t, src, config.Options{VarFiles: []string{bad, filepath.Join(dir, "none.hcl")}, Vars: map[string]string{"lvel": "x"}})
	if got := codes(ds); got != "unknown_variable unknown_variable expression unknown_block missing_file" {
		t.Errorf("problems of -var and -var-file: %s\n%v", got, ds)
	}
}

func TestVariablesOfEveryTypeComeFromText(t *testing.T) {
	src := base + `
variable "peers" { type = list(string) }
variable "limits" { type = object({ max = number, quic = optional(bool, false) }) }
variable "count" { type = number }
network {
  static_peers = var.peers
  max_peers    = var.limits.max
  quic         = var.limits.quic
  target_peers = var.count
}
`
	vars := map[string]string{"peers": `["/ip4/192.0.2.1/tcp/1/p2p/12D3KooW"]`, "limits": `{ max = 9 }`, "count": "4"}
	c := mustLoad(t, src, config.Options{Vars: vars})
	if len(c.Network.StaticPeers) != 1 || c.Network.MaxPeers != 9 || c.Network.QUIC || c.Network.TargetPeers != 4 {
		t.Errorf("got %+v", c.Network)
	}
	vars["peers"], vars["count"] = "[", "four"
	if _, ds := loadText(t, src, config.Options{Vars: vars}); codes(ds) != "wrong_type wrong_type" {
		t.Errorf("unreadable values: %v", ds)
	}
}

func TestSeveralFilesAreOneConfiguration(t *testing.T) {
	dir := t.TempDir()
	head, tail, _ := strings.Cut(base, "role \"engine\"")
	for name, text := range map[string]string{
		"a.hcl": head, "b.hcl": "role \"engine\"" + tail, "notes.txt": "not read", ".b.hcl": "not read", "c.hcl~": "not read",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, ds := config.Load(dir, config.Options{})
	if ds.HasErrors() || c.Dir != dir || len(c.Plugins) != 3 {
		t.Errorf("got %+v, %v", c, ds)
	}
}

const routes = base + `
plugin "signer" "a" {
  command = "s"
}
plugin "signer" "b" {
  command = "s"
}
flag "go" {
  enabled = true
}
flag "stop" {
  enabled = false
}
`

func TestEveryStateOfTheMigrationPlanIsARoute(t *testing.T) {
	a, b := config.PluginID{Kind: "signer", Name: "a"}, config.PluginID{Kind: "signer", Name: "b"}
	cases := []struct {
		name, role string
		want       config.Route
	}{
		{"primary alone", "primary = plugin.signer.a", config.Route{Primary: a}},
		{"run both and return the old", "primary = plugin.signer.a\nshadow = plugin.signer.b", config.Route{Primary: a, Shadow: b}},
		{
			"old primary with the new as backup", "primary = plugin.signer.a\nfallback = plugin.signer.b\nshadow = plugin.signer.b",
			config.Route{Primary: a, Fallback: b, Shadow: b},
		},
		{
			"1 %", "primary = plugin.signer.a\ncanary {\nplugin = plugin.signer.b\npercent = 1\n}",
			config.Route{Primary: a, Canary: &config.Canary{Plugin: b, Percent: 1}},
		},
		{
			"99 %", "primary = plugin.signer.a\ncanary {\nplugin = plugin.signer.b\npercent = 99\n}",
			config.Route{Primary: a, Canary: &config.Canary{Plugin: b, Percent: 99}},
		},
		{"new primary with the old as backup", "primary = plugin.signer.b\nfallback = plugin.signer.a", config.Route{Primary: b, Fallback: a}},
		{"a flag that is on", "primary = flag.go ? plugin.signer.b : plugin.signer.a", config.Route{Primary: b}},
		{"a flag that is off", "primary = flag.stop ? plugin.signer.b : plugin.signer.a", config.Route{Primary: a}},
		{"a name by index", "primary = plugin[\"signer\"].a", config.Route{Primary: a}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := mustLoad(t, routes+"role \"signer\" {\n"+c.role+"\n}\n", config.Options{})
			r, ok := cfg.Role(config.RoleID{Kind: "signer"})
			if diff := cmp.Diff(c.want, r.Route); !ok || diff != "" {
				t.Errorf("route (-want +got):\n%s", diff)
			}
		})
	}
	narrowed := mustLoad(t, routes+"role \"signer\" \"bitcoin\" {\nprimary = plugin.signer.b\n}\nrole \"signer\" \"approval\" {\nprimary = plugin.signer.a\n}\n", config.Options{})
	var ids []string
	for _, r := range narrowed.Roles {
		ids = append(ids, r.ID.String())
	}
	if got := strings.Join(ids, " "); got != "signer.approval signer.bitcoin engine sync" {
		t.Errorf("roles %s", got)
	}
}

func TestSharesOfAFlagAreStable(t *testing.T) {
	share := func(percent, node string) bool {
		src := strings.Replace(base, `name     = "n"`, `name     = "`+node+`"`, 1)
		c := mustLoad(t, src+"flag \"x\" {\n  enabled = true\n  percent = "+percent+"\n}\n", config.Options{})
		f, _ := c.Flag("x")
		return f.Value
	}
	on := 0
	for i := range 16 {
		node := "node-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		half := share("50", node)
		if half {
			on++
		}
		if share("0", node) || !share("100", node) || half != share("50", node) || half && !share("75", node) {
			t.Errorf("%s: shares are not nested", node)
		}
	}
	if on < 3 || on > 13 {
		t.Errorf("%d of 16 nodes have a flag of 50 %%", on)
	}
}

func TestFindSocketInABrokenFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alys.hcl")
	for src, want := range map[string]string{
		"node {\n  data_dir = \"d\"\n}\nbroken {{":                              filepath.Join(dir, "d/alys.sock"),
		"node {\n  data_dir = \"d\"\n  admin_socket = \"/run/a\"\n}\nbroken {{": "/run/a",
		"node {\n  data_dir = var.x\n}\n":                                       "",
		strings.Repeat("[", 1<<19):                                              "",
	} {
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := config.FindSocket(path); got != want || ok != (want != "") {
			t.Errorf("%.40q: got %q, %v", src, got, ok)
		}
	}
}
