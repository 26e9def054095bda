package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

func TestWhatThisVersionDoesNotDoIsRefusedInWords(t *testing.T) {
	good := read(t, pinFile(t), secretiveConfig)
	must(t, supported(good))
	for name, change := range map[string]func(*config.Config){
		"bitcoin":             func(c *config.Config) { c.Bitcoin = &config.Bitcoin{} },
		`listener "admin"`:    func(c *config.Config) { c.Listeners.Admin.Enabled = true },
		"otlp_endpoint":       func(c *config.Config) { c.Telemetry.OTLPEndpoint = "http://x" },
		"backup.interval":     func(c *config.Config) { c.Backup.Interval = time.Hour },
		"backup.recipients":   func(c *config.Config) { c.Backup.Recipients = []string{"age1"} },
		"backup.include_keys": func(c *config.Config) { c.Backup.IncludeKeys = true },
		"log_level of plugin": func(c *config.Config) {
			p := *c.Plugins[0]
			p.LogLevel = "trace"
			c.Plugins = append([]*config.Plugin{&p}, c.Plugins[1:]...)
		},
		"args of plugin": func(c *config.Config) {
			c.Plugins = []*config.Plugin{{ID: config.PluginID{Kind: lifecycle.Signer, Name: "s"}, Args: []string{"x"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := *good
			change(&c)
			err := supported(&c)
			wantIs(t, err, ErrUnsupported)
			if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), good.Path) {
				t.Errorf("error %q does not say what and where", err)
			}
		})
	}
}

func TestChainIsFoundOrNamed(t *testing.T) {
	s, err := loadSpec(&config.Config{Chain: config.Chain{Spec: "dev"}})
	must(t, err)
	if s.Name != "dev" {
		t.Errorf("spec %s", s.Name)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	must(t, os.WriteFile(bad, []byte("{}"), 0o600))
	for want, c := range map[string]config.Chain{
		"mainnet": {Spec: "mainnet"}, "none.json": {SpecPath: "none.json"}, bad: {SpecPath: bad},
	} {
		if _, err := loadSpec(&config.Config{Chain: c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error that names %s", err, want)
		}
	}
}

func TestProbationOfZeroIsNone(t *testing.T) {
	p := probation(config.Swap{Probation: 0, ProbationCalls: 30})
	if p.Time != 0 || p.Calls != 0 {
		t.Errorf("probation of 0s is %+v", p)
	}
	if p := probation(config.Swap{Probation: time.Minute, ProbationCalls: 30}); p.Time != time.Minute || p.Calls != 30 {
		t.Errorf("probation of 60s is %+v", p)
	}
}

func TestOnlyWhatIsReadAtTheStartNeedsARestart(t *testing.T) {
	dir := pinFile(t)
	old := read(t, dir, secretiveConfig)
	n := &Node{opt: Options{Config: old}}
	for _, test := range []struct {
		name, from, to string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"a plugin's config", `keystore = "./keys"`, `keystore = "./other"`, nil},
		{"the node", `name     = "n"`, `name     = "m"`, []string{"node"}},
		{"a new block", "chain {", "log {\n  level = \"debug\"\n}\nchain {", []string{"log"}},
	} {
		got := n.restartOnly(read(t, dir, strings.Replace(secretiveConfig, test.from, test.to, 1)))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestErrorsOfASwapTellTheOperatorWhatToDo(t *testing.T) {
	for _, test := range []struct {
		err        error
		code, hint string
	}{
		{swap.ErrStalePlan, "conflict", "alys plan"},
		{swap.ErrApplyInProgress, "conflict", "wait"},
		{swap.ErrRejected, "refused", "--retry"},
		{swap.ErrGap, "refused", "--allow-gap"},
		{swap.ErrNothingToRollBack, "refused", "status"},
		{swap.ErrUnknownRole, "unknown", "signer.approval"},
		{&swap.StepError{Err: errors.New("x")}, "internal", "the old route serves"},
	} {
		var e *admin.Error
		if err := operatorError(fmt.Errorf("apply: %w", test.err)); !errors.As(err, &e) || e.Code != test.code || !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%v became %v (%+v)", test.err, err, e)
		}
	}
	other := errors.New("other")
	if got := operatorError(other); got != other { //nolint:errorlint // the very error
		t.Errorf("another error became %v", got)
	}
}

func TestErrorsOfAKeyTellTheOperatorWhatToDo(t *testing.T) {
	for err, code := range map[error]string{
		signer.ErrWrongPassword: "refused", signer.ErrLocked: "refused", signer.ErrRefused: "refused", lifecycle.ErrUnsupported: "refused",
	} {
		var e *admin.Error
		if got := keyError(err); !errors.As(got, &e) || e.Code != code {
			t.Errorf("%v became %v", err, got)
		}
	}
	if keyError(nil) != nil {
		t.Error("nothing is an error")
	}
}

func TestChangesAreToldInOneLine(t *testing.T) {
	for _, test := range []struct {
		report swap.Report
		want   string
	}{
		{swap.Report{Result: swap.ResultNoOp}, "Nothing to do"},
		{swap.Report{Result: swap.ResultProbation, Serial: 4}, "serial 4"},
		{swap.Report{Result: swap.ResultFlippedBack, Problem: "it died"}, "it died"},
		{swap.Report{Result: swap.ResultDone, Serial: 5}, "Applied as serial 5"},
	} {
		if got := outcomeText(test.report); !strings.Contains(got, test.want) || strings.Contains(got, "\n") {
			t.Errorf("%s is told as %q", test.report.Result, got)
		}
	}
}

func TestDevFolderIsPreparedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	path, err := PrepareDev(dir)
	must(t, err)
	c, diags := config.Load(path, config.Options{})
	must(t, diags.Err())
	must(t, supported(c))
	key := filepath.Join(dir, "keys", "dev-1.json")
	before, err := os.ReadFile(key)
	must(t, err)
	must(t, os.WriteFile(path, []byte("# mine"), 0o600))
	again, err := PrepareDev(dir)
	must(t, err)
	mine, err := os.ReadFile(again)
	must(t, err)
	after, err := os.ReadFile(key)
	must(t, err)
	if string(mine) != "# mine" || string(before) != string(after) {
		t.Error("the operator's folder was changed")
	}
	for _, name := range []string{path, key} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v %v, want 0600", name, info.Mode(), err)
		}
	}
	if _, err := PrepareDev(filepath.Join(key, "below-a-file")); err == nil {
		t.Error("a folder below a file was prepared")
	}
	if DevAccount().Address == "" || DevAccount().PrivateKey == "" {
		t.Error("no account")
	}
}

func TestDevFolderThatWasHalfMadeIsCompleted(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
	path, err := PrepareDev(dir)
	must(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestLogFileIsOpenedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "alys.log")
	w, err := OpenLogFile(path, 1<<20, 2)
	must(t, err)
	_, err = w.Write([]byte("hello\n"))
	must(t, err)
	must(t, w.Close())
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "hello\n" {
		t.Errorf("the file holds %q: %v", raw, err)
	}
	if _, err := OpenLogFile(filepath.Join(path, "below"), 1, 1); err == nil {
		t.Error("a log below a file was opened")
	}
}

func TestGuardIsShownAsATable(t *testing.T) {
	g := newAdmitter(t).guard
	key := signer.KeyID("bls:0x" + strings.Repeat("ab", 48))
	must(t, g.RaiseFloor(t.Context(), signer.Floor{Key: key, Slot: 77, Height: 33}))
	raw, err := g.Export(t.Context())
	must(t, err)
	text, err := GuardText(raw)
	must(t, err)
	for _, want := range []string{"77", "33", string(key), testGenesis.String()} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not show %s:\n%s", want, text)
		}
	}
	if _, err := GuardText([]byte("[]")); err == nil {
		t.Error("something else was shown as a guard")
	}
	out, err := importGuard(t.Context(), g, raw)
	must(t, err)
	if out.Keys != 1 || out.Raised != 0 {
		t.Errorf("importing what is known gave %+v", out)
	}
	var e *admin.Error
	if _, err := importGuard(t.Context(), g, []byte("{}")); !errors.As(err, &e) || e.Code != "invalid" {
		t.Errorf("importing something else gave %v", err)
	}
}
