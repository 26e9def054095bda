package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/sdk/schema"
)

// suiteName is the program that tests plugins, beside this one: sdk/blackboxtest/conformance. It is a test binary, so
// that this one links no test code.
const suiteName = "alys-conformance"

// pluginTest is what `alys plugin test` was asked for.
type pluginTest struct {
	path, config, kind, run, suite string
	keepsNothing                   bool
	keysRefuse                     []string
	callTimeout                    time.Duration
	json                           bool
}

func newPluginTest(f *flags) *cobra.Command {
	t := &pluginTest{}
	cmd := &cobra.Command{
		Use:   "test PATH",
		Short: "Test a plugin binary of any language against everything that the node relies on",
		Long: "Start the binary as the node does, some dozens of times, and print a scored table: handshake, versions, schema, bad\n" +
			"config, deadlines, signals, large messages, kill -9, logs, leaks, and the contract of its kind. Each row that fails says\n" +
			"what was expected, what was seen, and where it is explained. Exit code 0 means that every row passes; a row that could not\n" +
			"run has not passed. The suite signs with the keys that the configuration names, and has a signer with key administration add\n" +
			"keys to the same folder: give it a folder that is for tests only.",
		Example: "  alys plugin test ./alys-signer-file --config block.hcl\n  alys plugin test ./alys-engine-mine --run 'kill-9|contract' --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.path, t.json = args[0], f.json
			return t.do(cmd)
		},
	}
	l := cmd.Flags()
	l.StringVarP(&t.config, "config", "c", "", "the plugin's own block: HCL, as between the braces of config, or .json as the node hands it over")
	l.StringVar(&t.kind, "kind", "", "signer, engine or sync (default: found out)")
	l.StringVar(&t.run, "run", "", "only rows whose name matches, such as 'sig|kill-9' or 'contract/a_floor'")
	l.BoolVar(&t.keepsNothing, "keeps-nothing", false, "the signer's guard is in memory, as its documentation says")
	l.StringSliceVar(&t.keysRefuse, "keys-refuse", nil, "what of key administration the signer refuses, as its documentation says: import, export, remove")
	l.DurationVar(&t.callTimeout, "call-timeout", 20*time.Second, "how long one call may take")
	l.StringVar(&t.suite, "suite", "", "the program with the suite (default: "+suiteName+" beside alys)")
	return cmd
}

func (t *pluginTest) do(cmd *cobra.Command) error {
	path, err := program(t.path)
	if err != nil {
		return fmt.Errorf("test %s: %w", t.path, err)
	}
	t.path = path
	if t.suite, err = findSuite(t.suite); err != nil {
		return err
	}
	switch t.kind {
	case "", "signer", "engine", "sync":
	default:
		return fmt.Errorf("--kind %q: there are signer, engine and sync", t.kind)
	}
	for _, what := range t.keysRefuse {
		if !slices.Contains([]string{"import", "export", "remove"}, what) {
			return fmt.Errorf("--keys-refuse %q: there are import, export and remove", what)
		}
	}
	d, err := t.describe(cmd.Context())
	if err != nil {
		return err
	}
	block, err := t.block(cmd, d)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	r := newTestReport(t.path, d)
	if !t.json {
		r.live = out
		r.heading(out)
	}
	if err := t.runSuite(cmd.Context(), rowPattern(t.run), t.request(block), r.line); err != nil {
		return err
	}
	r.score()
	if len(r.Rows) == 0 {
		return fmt.Errorf("--run %q: no row has such a name", t.run)
	}
	if t.json {
		err = printJSON(out, r)
	} else {
		r.summary(out)
	}
	if err == nil && !r.OK {
		return exitError(1)
	}
	return err
}

// rowPattern puts the test's name in front of every alternative: the testing package splits a pattern at each | that is
// in no bracket, before it splits it at each slash.
func rowPattern(run string) string {
	const test = "^TestPlugin$/"
	var b strings.Builder
	b.WriteString(test)
	depth := 0
	for _, r := range run {
		switch r {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		}
		b.WriteRune(r)
		if r == '|' && depth == 0 {
			b.WriteString(test)
		}
	}
	return b.String()
}

// program is the absolute path of a file that can be executed.
func program(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", errors.New("there is no such file")
	case err != nil:
		return "", err
	case info.IsDir():
		return "", errors.New("it is a folder, not a program")
	case info.Mode()&0o111 == 0:
		return "", fmt.Errorf("it cannot be executed: chmod +x %s", path)
	}
	return filepath.Abs(path)
}

func findSuite(named string) (string, error) {
	if named == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find %s: %w", suiteName, err)
		}
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		named = filepath.Join(filepath.Dir(self), suiteName)
	}
	path, err := program(named)
	if err != nil {
		return "", fmt.Errorf("the suite %s: %w; `make build` makes it beside alys, and --suite names it elsewhere", named, err)
	}
	return path, nil
}

// described is what a plugin says of itself (blackboxtest.Description). It is zero for a program that is no plugin: the
// table then says what is wrong with it.
type described struct {
	Kind     string       `json:"kind"`
	Name     string       `json:"name"`
	Version  string       `json:"version"`
	Protocol int          `json:"protocol"`
	Schema   schema.Block `json:"schema"`
}

func (t *pluginTest) describe(ctx context.Context) (described, error) {
	var d described
	var parse error
	err := t.runSuite(ctx, "^TestDescribe$", t.request([]byte("{}")), func(l string) {
		if e := readLine(l); e.key == "described" {
			parse = json.Unmarshal([]byte(e.text), &d)
		}
	})
	return d, errors.Join(err, parse)
}

// block is the plugin's own block as the node would hand it over.
func (t *pluginTest) block(cmd *cobra.Command, d described) ([]byte, error) {
	if strings.EqualFold(filepath.Ext(t.config), ".json") {
		raw, err := os.ReadFile(t.config)
		if err != nil {
			return nil, fmt.Errorf("read the config: %w", err)
		}
		if !json.Valid(raw) {
			return nil, fmt.Errorf("%s is not JSON", t.config)
		}
		return raw, nil
	}
	if d.Kind == "" {
		return []byte("{}"), nil // no plugin, no schema
	}
	value, diags := config.DecodeBlock(t.config, d.Schema, config.Options{Env: os.LookupEnv})
	if diags.HasErrors() && t.config == "" {
		return []byte("{}"), nil // it needs a configuration: the rows that want one say which
	}
	if len(diags) > 0 {
		stderr := cmd.ErrOrStderr()
		if err := config.WriteDiagnostics(stderr, diags, useColor(stderr), width(stderr)); err != nil {
			return nil, err
		}
	}
	if diags.HasErrors() {
		return nil, exitError(1)
	}
	return value.JSON, nil
}

// request is what the suite reads from its standard input: secrets are neither arguments nor variables.
func (t *pluginTest) request(block []byte) []byte {
	raw, err := json.Marshal(map[string]any{
		"path": t.path, "kind": t.kind, "config": json.RawMessage(block), "keeps_nothing": t.keepsNothing,
		"keys_refuse":  t.keysRefuse,
		"call_seconds": max(1, int(t.callTimeout/time.Second)),
	})
	if err != nil {
		return nil // the block was checked
	}
	return raw
}

// runSuite runs tests of the suite and hands over each line of its stream. That tests fail is no error.
func (t *pluginTest) runSuite(ctx context.Context, tests string, request []byte, line func(string)) error {
	cmd := exec.CommandContext(ctx, t.suite, "-test.run="+tests, "-test.v=test2json", "-test.count=1") // our own, or the operator's
	cmd.Env = append(os.Environ(), "ALYS_CONFORMANCE=1")
	cmd.Stdin = bytes.NewReader(request)
	var stderr bytes.Buffer
	w := &lineWriter{line: line}
	cmd.Stdout, cmd.Stderr = w, &stderr
	err := cmd.Run()
	w.flush()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return nil // some tests failed
	case err != nil:
		return fmt.Errorf("run the suite %s: %w\n%s", t.suite, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}
