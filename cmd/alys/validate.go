package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
)

func newValidate(f *flags) *cobra.Command {
	var noPlugins bool
	cmd := &cobra.Command{
		Use:     "validate",
		Short:   "Check alys.hcl and every plugin's own block, and start nothing",
		Long:    "Check alys.hcl and report everything that is wrong at once, each with file, line and a hint. Plugins are started as\nprobes to check their own blocks; --no-plugins skips that.",
		Example: "  alys validate\n  alys validate --no-plugins --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := f.configPath()
			if err != nil {
				return err
			}
			options, err := f.options()
			if err != nil {
				return err
			}
			c, diags := config.Load(path, options)
			if !diags.HasErrors() && !noPlugins {
				diags = append(diags, node.Validate(cmd.Context(), c)...)
			}
			return f.report(cmd.OutOrStdout(), diags)
		},
	}
	cmd.Flags().BoolVar(&noPlugins, "no-plugins", false, "do not start plugins to check their blocks")
	return cmd
}

// report prints findings; an error among them is exit code 1.
func (f *flags) report(w io.Writer, diags config.Diagnostics) error {
	if f.json {
		if err := printJSON(w, config.DiagnosticsJSON(diags)); err != nil {
			return err
		}
	} else {
		if err := config.WriteDiagnostics(w, diags, useColor(w), width(w)); err != nil {
			return err
		}
		if !diags.HasErrors() {
			_, _ = fmt.Fprintln(w, "The configuration is valid.")
		}
	}
	if diags.HasErrors() {
		return exitError(1)
	}
	return nil
}

func newFmt(f *flags) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:     "fmt [FILE...]",
		Short:   "Lay out alys.hcl in the one way",
		Example: "  alys fmt\n  alys fmt --check alys.hcl",
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := f.fmtFiles(args)
			if err != nil {
				return err
			}
			changed := false
			for _, file := range files {
				c, err := f.fmtFile(cmd, file, check)
				if err != nil {
					return err
				}
				changed = changed || c
			}
			if check && changed {
				return exitError(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit with 1 when a file would change")
	return cmd
}

func (f *flags) fmtFiles(args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	path, err := f.configPath()
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Glob(filepath.Join(path, "*.hcl"))
	}
	return []string{path}, nil
}

func (f *flags) fmtFile(cmd *cobra.Command, file string, check bool) (bool, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("format: %w", err)
	}
	out, diags := config.Format(src)
	if diags.HasErrors() {
		if err := config.WriteDiagnostics(cmd.ErrOrStderr(), diags, useColor(cmd.ErrOrStderr()), width(cmd.ErrOrStderr())); err != nil {
			return false, err
		}
		return false, fmt.Errorf("%s is not HCL: nothing was changed", file)
	}
	if string(out) == string(src) {
		return false, nil
	}
	_, _ = fmt.Fprintln(cmd.OutOrStdout(), file)
	if check {
		return true, nil
	}
	return true, replaceFile(file, out)
}

// replaceFile writes a file so that a reader sees the old text or the new, never half of it.
func replaceFile(path string, content []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".alys-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // it was renamed, or there is nothing to keep
	_, err = temp.Write(content)
	if err == nil {
		err = temp.Chmod(info.Mode().Perm())
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
