package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// built is where the node and the built-in plugins of a development chain lie, built once: as `make build` lays them out.
var built string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "alys-") // short: sockets lie below it
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = dir
	if err := build(filepath.Join(dir, "bin")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds with the Makefile's flags, so that what it compiled is used again.
func build(bin string) error {
	args := []string{"build", "-trimpath", "-ldflags", "-s -w -X main.version=v1.2.3-test"}
	for output, source := range map[string]string{
		"alys":                         ".",
		"plugins/alys-signer-local":    "../../plugins/signer/local",
		"plugins/alys-engine-v5":       "../../plugins/engine/v5",
		"plugins/alys-sync-sequential": "../../plugins/sync/sequential",
		"plugins/alys-sync-parallel":   "../../plugins/sync/parallel",
	} {
		cmd := exec.Command("go", append(args, "-o", filepath.Join(bin, output), source)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	cmd := exec.Command("go", "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(bin, suiteName), "../../sdk/blackboxtest/conformance")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the conformance suite: %w\n%s", err, out)
	}
	return nil
}

// TestScript runs the scripts below testdata/script: the command line as operators and their tools see it.
func TestScript(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireUniqueNames: true, Cmds: scriptCommands(),
		Condition: func(condition string) (bool, error) {
			if condition == "mount" {
				return mayMount(t), nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Join(built, "bin")+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("TMPDIR", built)
			e.Setenv("TESTDATA", testdata)
			e.Setenv("PLUGINS", filepath.Join(built, "bin", "plugins"))
			if dir := os.Getenv("GOCOVERDIR"); dir != "" {
				e.Setenv("GOCOVERDIR", dir)
			}
			return nil
		},
	})
}
