package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/node"
)

func newPluginList(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the plugins of alys.hcl and the programs in plugin_dir",
		Long: "List the plugin blocks of alys.hcl, whether each program is the one that is pinned, and the roles that use it; then the\n" +
			"programs in plugin_dir that no block names. A program is started to ask for its version, as a probe that is never\n" +
			"configured, and only where a node would start it: when it is pinned, or on a dev chain.",
		Example: "  alys plugin list\n  alys plugin list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.pinning = true // a missing checksum is something to show
			c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			plugins, err := node.ListPlugins(cmd.Context(), c)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), plugins)
			}
			return printPlugins(cmd.OutOrStdout(), plugins)
		},
	}
}

func printPlugins(w io.Writer, plugins []node.ListedPlugin) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PLUGIN\tPROGRAM\tVERSION\tDIGEST\tPIN\tUSED BY")
	for _, p := range plugins {
		program := p.Name
		if program == "" {
			program = p.Command
		}
		used := strings.Join(p.Roles, ", ")
		if p.ID == "" {
			used = "(no block names it)"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(p.ID, "-"), program, cmp.Or(p.Version, "-"), shortDigest(p.Digest),
			cmp.Or(string(p.Pin), "-"), cmp.Or(used, "-"))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print plugins: %w", err)
	}
	for _, p := range plugins {
		switch {
		case p.Problem != "":
			_, _ = fmt.Fprintf(w, "\n%s: %s\n", cmp.Or(p.ID, p.Command), p.Problem)
		case p.Pin == node.PinDiffers:
			_, _ = fmt.Fprintf(w, "\n%s: the program is not the one that is pinned. If it was replaced on purpose, run: alys plugin pin %s\n", p.ID, p.ID)
		}
	}
	return nil
}

// shortDigest is enough of a digest to tell two apart; --json has all of it.
func shortDigest(digest string) string {
	const prefix, digits = "sha256:", 12
	if len(digest) < len(prefix)+digits {
		return "-"
	}
	return digest[:len(prefix)+digits]
}
