package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/node"
)

func newGuard(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Show, export and import the record of what was signed",
		Args:  noSubcommand, RunE: help,
		Example: "  alys guard show\n  alys guard export --out guard.json",
		Long:    "The guard holds, for every key, what this node has signed. It outlives every swap and restart. To move an authority to\nanother machine: stop the node, export, import there, and never start the old one again.",
	}
	cmd.AddCommand(newGuardShow(f), newGuardExport(f), newGuardImport(f))
	return cmd
}

func newGuardShow(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show the last slot and height that each key signed",
		Example: "  alys guard show",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, err := f.guardExport(cmd)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), raw)
			}
			text, err := node.GuardText(raw)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}

func newGuardExport(f *flags) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write the guard as JSON, from a running or a stopped node",
		Example: "  alys guard export --out guard.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, err := f.guardExport(cmd)
			if err != nil {
				return err
			}
			if out == "" {
				return printJSON(cmd.OutOrStdout(), raw)
			}
			var text bytes.Buffer
			if err := printJSON(&text, raw); err != nil {
				return err
			}
			if err := os.WriteFile(out, text.Bytes(), 0o600); err != nil {
				return fmt.Errorf("write guard: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "the file to write (default: standard output)")
	return cmd
}

func newGuardImport(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "import FILE",
		Short:   "Merge an exported guard; nothing is ever lowered",
		Example: "  alys guard import guard.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("read guard: %w", err)
			}
			if !json.Valid(raw) {
				return fmt.Errorf("%s is not JSON: write one with `alys guard export`", args[0])
			}
			r, err := f.guardImport(cmd, raw)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), r)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s read, %d raised\n", count(r.Keys, "key"), r.Raised)
			return err
		},
	}
}

// guardExport asks the node, or reads the data folder when no node runs.
func (f *flags) guardExport(cmd *cobra.Command) (json.RawMessage, error) {
	c, err := f.client()
	if err != nil {
		return nil, err
	}
	raw, err := c.GuardExport(cmd.Context())
	if !errors.Is(err, admin.ErrNoNode) {
		return raw, err
	}
	dir, err := f.nodeDataDir(cmd)
	if err != nil {
		return nil, err
	}
	return node.GuardExportOffline(cmd.Context(), dir)
}

func (f *flags) guardImport(cmd *cobra.Command, raw json.RawMessage) (admin.GuardImportResponse, error) {
	c, err := f.client()
	if err != nil {
		return admin.GuardImportResponse{}, err
	}
	r, err := c.GuardImport(cmd.Context(), raw)
	if !errors.Is(err, admin.ErrNoNode) {
		return r, err
	}
	dir, err := f.nodeDataDir(cmd)
	if err != nil {
		return admin.GuardImportResponse{}, err
	}
	return node.GuardImportOffline(cmd.Context(), dir, raw)
}

// nodeDataDir is the data folder of a node that does not run.
func (f *flags) nodeDataDir(cmd *cobra.Command) (string, error) {
	if f.dataDir != "" {
		return f.dataDir, nil
	}
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return "", err
	}
	return c.Node.DataDir, nil
}
