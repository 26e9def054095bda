package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/config"
)

func render(t *testing.T, ds config.Diagnostics, color bool, width int) string {
	t.Helper()
	var out bytes.Buffer
	if err := config.WriteDiagnostics(&out, ds, color, width); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDiagnosticsFitTheTerminal(t *testing.T) {
	_, ds := loadText(t, base+"log {\n\tlevel = \"inf\" # "+strings.Repeat("x", 300)+"\n}\n", config.Options{})
	plain := render(t, ds, false, 60)
	if strings.Contains(plain, "\x1b") {
		t.Error("colour was not asked for")
	}
	if !strings.Contains(plain, "| \tlevel = \"inf\"") || !strings.Contains(plain, "| \t        ^^^^^") {
		t.Errorf("the underline is not below the text:\n%s", plain)
	}
	for line := range strings.Lines(plain) {
		if !strings.Contains(line, "alys.hcl") && len([]rune(line)) > 62 {
			t.Errorf("line of %d columns: %q", len(line), line)
		}
	}
	if !strings.Contains(render(t, ds, true, 60), "\x1b[1;31m\"inf\"\x1b[0m") {
		t.Error("the offending text has no colour")
	}
	failing := writerFunc(func([]byte) (int, error) { return 0, errFull })
	if err := config.WriteDiagnostics(failing, ds, false, 0); !errors.Is(err, errFull) {
		t.Errorf("a failing writer: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

var errFull = errors.New("full")

func TestDiagnosticsAsJSON(t *testing.T) {
	_, ds := loadText(t, base+"log {\n  level = \"inf\"\n}\n", config.Options{})
	raw, err := json.Marshal(config.DiagnosticsJSON(ds))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Valid       bool
		Errors      int
		Diagnostics []struct {
			Severity, Code, Summary, Detail, Context, Snippet string
			Range                                             struct{ Line, Column, EndLine, EndColumn int }
		}
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	d := got.Diagnostics[0]
	if got.Valid || got.Errors != 1 || d.Code != "invalid_value" || d.Severity != "error" || d.Range.Column != 11 || d.Snippet != `  level = "inf"` || d.Context != "log" {
		t.Errorf("got %s", raw)
	}
	if none, err := json.Marshal(config.DiagnosticsJSON(nil)); err != nil || string(none) != `{"valid":true,"errors":0,"warnings":0,"diagnostics":[]}` {
		t.Errorf("no diagnostics: %s, %v", none, err)
	}
}

// A hostile or broken file cannot make Load report without end.
func TestReportsAreBounded(t *testing.T) {
	var src strings.Builder
	src.WriteString(base + "log {\n")
	for i := range 5000 {
		fmt.Fprintf(&src, "  k%d = var.x\n", i)
	}
	src.WriteString("}\nlocals {\n")
	for i := range 5000 {
		fmt.Fprintf(&src, "  l%d = local.l%d\n", i, i+1)
	}
	_, ds := loadText(t, src.String()+"}\n", config.Options{})
	if len(ds) == 0 || len(ds) > 500 {
		t.Errorf("%d diagnostics", len(ds))
	}
}

func TestBytes(t *testing.T) {
	cases := map[string]config.Bytes{"0B": 0, "1KiB": 1024, "64MiB": 64 << 20, "3GB": 3e9, "2 TiB": 2 << 40, "1MB": 1e6, "5KB": 5000, "1TB": 1e12, "1GiB": 1 << 30}
	for text, want := range cases {
		if got, err := config.ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "B", "1", "-1B", "1.5MiB", "9999999TiB", "99999999999999999999B", "1 mib"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
	if got := config.Bytes(64<<20).String() + " " + config.Bytes(1025).String() + " " + config.Bytes(0).String(); got != "64MiB 1025B 0B" {
		t.Errorf("got %s", got)
	}
	if d, err := config.ParseDuration("1m"); err != nil || d != time.Minute {
		t.Errorf("got %s, %v", d, err)
	}
}

func TestNamesOfPluginsAndRoles(t *testing.T) {
	for _, text := range []string{"signer.local", "engine.v5", ""} {
		var id config.PluginID
		if err := id.UnmarshalText([]byte(text)); err != nil || id.String() != text {
			t.Errorf("%q: got %q, %v", text, id, err)
		}
	}
	for _, text := range []string{"signer", "x.local", "signer.", "signer.a.b", "signer.A", "signer.a/b"} {
		if err := new(config.PluginID).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q names a plugin", text)
		}
	}
	for _, text := range []string{"signer", "signer.approval", "signer.bitcoin", "engine", "sync"} {
		var id config.RoleID
		if err := id.UnmarshalText([]byte(text)); err != nil || id.String() != text {
			t.Errorf("%q: got %q, %v", text, id, err)
		}
	}
	for _, text := range []string{"", "signers", "engine.approval", "signer.other", "signer."} {
		if err := new(config.RoleID).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q names a role", text)
		}
	}
}
