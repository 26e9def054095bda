package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// ours is the module that a plugin requires.
const ours = "github.com/alys-node/alys"

//go:embed all:templates
var templates embed.FS

// newModule is what the templates are filled with.
type newModule struct {
	Kind    lifecycle.Kind
	Name    string
	Module  string // its path
	Dir     string // absolute
	Program string // the binary
	Version string // of ours
	SDK     string // a checkout of ours; empty: a release
	Go      string // language version
}

func newPluginNew(f *flags) *cobra.Command {
	var sdk, module string
	cmd := &cobra.Command{
		Use:   "new signer|engine|sync NAME",
		Short: "Write a small plugin that builds and passes its conformance suite",
		Long: "Write a Go module into the folder NAME: a plugin of a kind, its conformance test, a README with the next steps, and its\n" +
			"part of alys.hcl. It requires the release of this alys; --sdk names a checkout instead, and is needed when this alys was\n" +
			"built from one.",
		Example: "  alys plugin new signer my-kms\n  alys plugin new engine fast --sdk ../alys --module example.com/fast",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("want a kind and a name, as in: alys plugin new signer my-kms")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := describeModule(args[0], args[1], module)
			if err != nil {
				return err
			}
			if err := m.require(sdk); err != nil {
				return err
			}
			files, err := m.files()
			if err != nil {
				return err
			}
			if err := m.write(files); err != nil {
				return err
			}
			tidied := m.tidy(cmd)
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]any{"dir": m.Dir, "module": m.Module, "program": m.Program, "tidied": tidied == nil})
			}
			m.explain(cmd, files, tidied)
			return nil
		},
	}
	cmd.Flags().StringVar(&sdk, "sdk", "", "a checkout of alys to build against")
	cmd.Flags().StringVar(&module, "module", "", "the module's path (default: example.com/alys-KIND-NAME)")
	return cmd
}

var (
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	modulePath = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.~/-]*$`)
)

func describeModule(kind, name, module string) (*newModule, error) {
	if !isKind(kind) {
		return nil, fmt.Errorf("there is no kind %q of plugins: a plugin is a signer, an engine or sync.%s", kind, config.DidYouMean(kind, kindNames()))
	}
	if !pluginName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name for a plugin: use at most 40 lower-case letters, digits and -, starting with a letter, as in my-kms", name)
	}
	m := &newModule{Kind: lifecycle.Kind(kind), Name: name, Module: module, Program: fmt.Sprintf("alys-%s-%s", kind, name)}
	if module == "" {
		m.Module = "example.com/" + m.Program
	}
	if !modulePath.MatchString(m.Module) || strings.Contains(m.Module, "//") || strings.HasSuffix(m.Module, "/") {
		return nil, fmt.Errorf("%q is no module path: write --module example.com/%s, say", m.Module, m.Program)
	}
	m.Go = regexp.MustCompile(`\d+\.\d+`).FindString(runtime.Version())
	var err error
	if m.Dir, err = filepath.Abs(name); err != nil {
		return nil, fmt.Errorf("find the folder %s: %w", name, err)
	}
	return m, checkEmpty(m.Dir)
}

// Suite is the command that holds the program to the whole suite. A signer needs a key for it.
func (m *newModule) Suite() string {
	line := "alys plugin test ./" + m.Program
	if m.Kind == lifecycle.Signer {
		line += " --config test.hcl"
	}
	return line
}

func isKind(kind string) bool { return slices.Contains(kindNames(), kind) }

func kindNames() []string {
	var out []string
	for _, k := range lifecycle.Kinds() {
		out = append(out, string(k))
	}
	return out
}

// checkEmpty refuses what would be written over.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s is in the way: choose another name, or another current folder (%w)", dir, err)
	case len(entries) > 0:
		return fmt.Errorf("%s has files in it (%s): choose another name, or remove them", dir, entries[0].Name())
	}
	return nil
}

// require chooses the SDK: a checkout, or the release that this program is.
func (m *newModule) require(sdk string) error {
	if sdk != "" {
		path, err := filepath.Abs(sdk)
		if err != nil {
			return fmt.Errorf("find %s: %w", sdk, err)
		}
		raw, err := os.ReadFile(filepath.Join(path, "go.mod"))
		if err != nil || !bytes.HasPrefix(raw, []byte("module "+ours+"\n")) {
			return fmt.Errorf("%s is no checkout of alys: it has no go.mod of the module %s", path, ours)
		}
		m.Version, m.SDK = "v0.0.0", path
		return nil
	}
	info, _ := debug.ReadBuildInfo()
	if m.Version = released(info); m.Version == "" {
		return errors.New("this alys was built from a checkout, so there is no release that the plugin could require: name the checkout with --sdk PATH")
	}
	return nil
}

// pseudo is the end of a version that Go makes up for a commit.
var pseudo = regexp.MustCompile(`[-.]\d{14}-[0-9a-f]{12}$`)

// released is the version of this program that others can fetch too; empty when it was built from a checkout.
func released(info *debug.BuildInfo) string {
	if info == nil || info.Main.Path != ours || !strings.HasPrefix(info.Main.Version, "v") || strings.Contains(info.Main.Version, "+dirty") {
		return ""
	}
	fromCheckout := slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" })
	if fromCheckout && pseudo.MatchString(info.Main.Version) {
		return "" // nobody knows whether the commit was published
	}
	return info.Main.Version
}

// file is one that was made from a template.
type file struct {
	name    string
	content []byte
}

func (m *newModule) files() ([]file, error) {
	var out []file
	for _, dir := range []string{"templates/module", "templates/" + string(m.Kind)} {
		entries, err := templates.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("read templates: %w", err)
		}
		for _, e := range entries {
			name, isFile := strings.CutSuffix(e.Name(), ".tmpl")
			if !isFile || name == "next" {
				continue
			}
			t, err := template.New(e.Name()).Delims("{%", "%}").ParseFS(templates, dir+"/"+e.Name(), "templates/"+string(m.Kind)+"/next.tmpl")
			if err != nil {
				return nil, fmt.Errorf("parse template: %w", err)
			}
			var b bytes.Buffer
			if err := t.Execute(&b, m); err != nil {
				return nil, fmt.Errorf("fill template: %w", err)
			}
			out = append(out, file{name, b.Bytes()})
		}
	}
	if m.SDK != "" { // the sums of everything that the checkout builds with
		sums, err := os.ReadFile(filepath.Join(m.SDK, "go.sum"))
		if err != nil {
			return nil, fmt.Errorf("read the checkout: %w", err)
		}
		out = append(out, file{"go.sum", sums})
	}
	return out, nil
}

func (m *newModule) write(files []file) error {
	if err := os.MkdirAll(m.Dir, 0o755); err != nil { //nolint:gosec // source code
		return fmt.Errorf("make the folder: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(m.Dir, f.name), f.content, 0o644); err != nil { //nolint:gosec // source code
			return fmt.Errorf("write the plugin: %w", err)
		}
	}
	return nil
}

// tidy lets Go write down what the module needs. It is no failure of the command that Go is missing, or offline.
func (m *newModule) tidy(cmd *cobra.Command) error {
	tidy := exec.CommandContext(cmd.Context(), "go", "mod", "tidy")
	tidy.Dir, tidy.Env = m.Dir, append(os.Environ(), "GOWORK=off")
	out, err := tidy.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go mod tidy: %w\n%s", err, out)
	}
	return nil
}

func (m *newModule) explain(cmd *cobra.Command, files []file, tidied error) {
	w := cmd.OutOrStdout()
	_, _ = fmt.Fprintf(w, "%s, a plugin of kind %s, is in %s:\n", m.Program, m.Kind, m.Dir)
	for _, f := range files {
		_, _ = fmt.Fprintf(w, "  %s\n", f.name)
	}
	_, _ = fmt.Fprintf(w, "\nNext (README.md has more):\n  cd %s\n", m.Name)
	if tidied != nil {
		_, _ = fmt.Fprintln(w, "  go mod tidy")
	}
	_, _ = fmt.Fprintf(w, "  go test ./...\n  go build -o %s .\n  %s\n", m.Program, m.Suite())
	if tidied != nil {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "\nWarning: %v\n", tidied)
	}
}
