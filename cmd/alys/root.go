package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
)

// flags are those that every command has.
type flags struct {
	config   string
	dataDir  string
	json     bool
	vars     []string
	varFiles []string
	pinning  bool // plugins may lack a checksum: they are about to get one
}

func newRoot() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:           "alys",
		Short:         "A node for a Bitcoin sidechain whose signer, engine and sync are plugins",
		Long:          "alys runs a node of a Bitcoin sidechain. Its signer, engine and sync strategy are plugins; one edit of\nalys.hcl is one migration step: preview it, apply it, watch it, undo it.\n\nStart with `alys dev`.",
		Example:       "  alys dev\n  alys plan && alys apply",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see `%s --help`", err, cmd.CommandPath())
	})
	p := root.PersistentFlags()
	p.StringVarP(&f.config, "config", "c", "", "alys.hcl, or a folder of *.hcl files (default: ./alys.hcl when there is one)")
	p.StringVar(&f.dataDir, "data-dir", "", "the node's data folder, to find a running node without a configuration")
	p.BoolVar(&f.json, "json", false, "print JSON")
	p.StringArrayVar(&f.vars, "var", nil, "set a variable: name=value (repeatable)")
	p.StringArrayVar(&f.varFiles, "var-file", nil, "read variables from a file (repeatable)")
	root.AddCommand(
		newVersion(f), newDev(f), newRun(f), newValidate(f), newFmt(f), newPlan(f), newApply(f), newRollback(f), newStatus(f), newWatch(f),
		newGuard(f), newKeys(f), newPlugin(f), newGenesis(f), newBench(f), newSync(f), newMigrate(f), newAudit(f),
	)
	return root
}

func newVersion(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  alys version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": version})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "alys", version)
			return err
		},
	}
}

// help is what a command does that only has others below it.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// noSubcommand takes no argument, and says what there is when one is given.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("unknown command %q for %q: it has %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
}

// dashes gives -out, -var and -var-file, which may be written with one dash as Terraform has them, their second.
func dashes(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		if a == "--" {
			break
		}
		switch name, _, _ := strings.Cut(a, "="); name {
		case "-out", "-var", "-var-file":
			out[i] = "-" + a
		}
	}
	return out
}

const (
	socketName    = "alys.sock" // in the data folder
	maxSocketPath = 107         // bytes that Linux takes
)

func checkSocketPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the node's socket %s has %d bytes, a unix socket's path has at most %d", path, len(path), maxSocketPath)
	}
	return nil
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// configPath is the configuration that the flags name, or the one in the current folder.
func (f *flags) configPath() (string, error) {
	path := f.config
	if path == "" {
		path = "alys.hcl"
		if _, err := os.Stat(path); err != nil {
			return "", errors.New("there is no alys.hcl here: name one with -c FILE, or a running node with --data-dir DIR")
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return abs, nil
}

// variables splits the -var flags.
func (f *flags) variables() (map[string]string, error) {
	out := map[string]string{}
	for _, v := range f.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("-var %q: want name=value", v)
		}
		out[name] = value
	}
	return out, nil
}

// load reads the configuration and prints what is wrong with it.
func (f *flags) load(stderr io.Writer) (*config.Config, error) {
	path, err := f.configPath()
	if err != nil {
		return nil, err
	}
	options, err := f.options()
	if err != nil {
		return nil, err
	}
	c, diags := config.Load(path, options)
	if len(diags) > 0 {
		if err := config.WriteDiagnostics(stderr, diags, useColor(stderr), width(stderr)); err != nil {
			return nil, err
		}
	}
	if diags.HasErrors() {
		return nil, exitError(1)
	}
	return c, nil
}

func (f *flags) options() (config.Options, error) {
	vars, err := f.variables()
	if err != nil {
		return config.Options{}, err
	}
	return config.Options{Vars: vars, VarFiles: f.varFiles, Env: os.LookupEnv, Dev: f.pinning}, nil
}

// client finds the node: by data folder, by socket in ALYS_ADDR, or by the configuration.
func (f *flags) client() (*admin.Client, error) {
	if f.dataDir != "" {
		socket := filepath.Join(f.dataDir, socketName)
		if err := checkSocketPath(socket); err != nil {
			return nil, fmt.Errorf("%w: name the node's configuration with -c", err)
		}
		return admin.NewClient(socket), nil
	}
	if addr := os.Getenv("ALYS_ADDR"); addr != "" {
		return admin.NewClient(strings.TrimPrefix(addr, "unix:")), nil
	}
	path, err := f.configPath()
	if err != nil {
		return nil, err
	}
	options, err := f.options()
	if err != nil {
		return nil, err
	}
	// A broken configuration must not keep an operator from a running node: what could be read of it is used.
	if c, _ := config.Load(path, options); c != nil {
		return admin.NewClient(c.Node.AdminSocket), nil
	}
	socket, ok := config.FindSocket(path)
	if !ok {
		return nil, fmt.Errorf("%s has errors and does not say plainly where its node is: name the data folder with --data-dir", path)
	}
	return admin.NewClient(socket), nil
}

// source tells the node which configuration to read.
func (f *flags) source() (admin.Source, error) {
	s := admin.Source{VarFiles: f.varFiles}
	vars, err := f.variables()
	if err != nil {
		return s, err
	}
	s.Vars = vars
	if f.config != "" {
		s.Path, err = f.configPath()
	}
	return s, err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// useColor follows NO_COLOR (no-color.org) and whether w is a terminal.
func useColor(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(file.Fd()))
}

func width(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil {
			return columns
		}
	}
	return 100
}
