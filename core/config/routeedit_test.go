package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/config"
)

func TestRouteEditKeepsEverythingElse(t *testing.T) {
	const src = `# top
role "engine" { # the engine
  primary = plugin.engine.v4 # served since the beginning
  # for a while
  shadow = plugin.engine.v5
  canary {
    plugin  = plugin.engine.v5
    percent = 10
  }
}

# the signer
role "signer" "approval" {
  primary = plugin.signer.local
}
`
	engine := config.RouteEdit{Role: "engine", Primary: "v5", Fallback: "v4"}
	out, err := engine.Apply([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	got := string(out)
	for _, want := range []string{"# top", "# the engine", "# served since the beginning", "primary  = plugin.engine.v5", "fallback = plugin.engine.v4", "# the signer", "plugin.signer.local"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	for _, gone := range []string{"shadow =", "canary"} {
		if strings.Contains(got, gone) {
			t.Errorf("%q is still in\n%s", gone, got)
		}
	}
	if again, err := engine.Apply(out); err != nil || string(again) != got {
		t.Errorf("a second edit changes it: %v\n%s", err, again)
	}
	if out, err = (config.RouteEdit{Role: "signer.approval", Primary: "hsm"}).Apply(out); err != nil || !strings.Contains(string(out), "plugin.signer.hsm") {
		t.Errorf("%v\n%s", err, out)
	}
	canary := config.RouteEdit{Role: "engine", Primary: "v4", Canary: "v5", Percent: 12.5}
	if out, err = canary.Apply(out); err != nil || !strings.Contains(string(out), "percent = 12.5") || strings.Contains(string(out), "fallback") {
		t.Errorf("an abort at a canary's step: %v\n%s", err, out)
	}
	canary.Percent = 25
	if out, err = canary.Apply(out); err != nil || strings.Count(string(out), "canary {") != 1 || !strings.Contains(string(out), "percent = 25") {
		t.Errorf("another share: %v\n%s", err, out)
	}
	if got := canary.Text("engine"); !strings.Contains(got, "    percent = 25\n") {
		t.Errorf("text\n%s", got)
	}
	if _, err := (config.RouteEdit{Role: "sync", Primary: "parallel"}).Apply(out); !errors.Is(err, config.ErrNoRoleBlock) {
		t.Errorf("a role that is not there: %v", err)
	}
	if want := "role \"engine\" {\n  primary  = plugin.engine.v5\n  fallback = plugin.engine.v4\n}\n"; engine.Text("engine") != want {
		t.Errorf("text\n%s", engine.Text("engine"))
	}
}
