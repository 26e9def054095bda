package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/admin"
)

func newStatus(f *flags) *cobra.Command {
	var tree bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show what the node runs: heads, routes, generations",
		Long:    "Show what the node runs: heads, routes, generations. --tree shows how it is supervised: the core, whose first error stops the\nnode; the services, each started again alone; the plugins, processes of their own.",
		Example: "  alys status\n  alys status --tree\n  alys status --json | jq .head",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			if tree {
				return printTree(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().BoolVar(&tree, "tree", false, "show the supervision tree")
	return cmd
}

func printStatus(w io.Writer, s admin.Status) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	ready := "ready"
	if !s.Ready {
		ready = "not ready: " + strings.Join(s.Reasons, "; ")
	}
	_, _ = fmt.Fprintf(t, "node\t%s (%s), up %s, %s\n", s.Name, s.Version, time.Since(s.StartedAt).Round(time.Second), ready)
	_, _ = fmt.Fprintf(t, "chain\t%s, id %d, genesis %s\n", s.Chain, s.ChainID, s.Genesis.Short())
	_, _ = fmt.Fprintf(t, "slot\t%d\n", s.Slot)
	_, _ = fmt.Fprintf(t, "head\t%d  %s\n", s.Head.Height, s.Head.Hash)
	_, _ = fmt.Fprintf(t, "safe\t%d  %s\n", s.Safe.Height, s.Safe.Hash)
	_, _ = fmt.Fprintf(t, "finalized\t%d  %s\n", s.Finalized.Height, s.Finalized.Hash)
	_, _ = fmt.Fprintf(t, "sync\t%s\n", syncText(s.Sync))
	_, _ = fmt.Fprintf(t, "peers\t%d\n", len(s.Peers))
	_, _ = fmt.Fprintf(t, "config\tserial %d, %s%s\n", s.Serial, shortHash(s.Hash), driftText(s))
	for _, name := range sortedKeys(s.Roles) {
		r := s.Roles[name]
		_, _ = fmt.Fprintf(t, "\nrole %s\t%s  [%s]\n", name, routeText(r.Route), strings.Join(r.States, ", "))
		for _, g := range r.Generations {
			_, _ = fmt.Fprintf(t, "  %s#%d\t%s  %s  pid %d, up %s, %d MB, %s%s\n", g.Plugin, g.Generation, strings.Join(g.Positions, "+"),
				g.State, g.PID, g.Uptime.Round(time.Second), g.MemoryBytes>>20, count(g.Restarts, "restart"), note(g.Message))
		}
		if l := r.LastSwap; l != nil {
			_, _ = fmt.Fprintf(t, "  last change\t%s ago, took %.0f ms: %s%s\n", time.Since(l.At).Round(time.Second), l.Duration*1000,
				strings.ReplaceAll(l.Outcome, "_", " "), note(l.Reason))
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print status: %w", err)
	}
	return nil
}

func syncText(s admin.SyncStatus) string {
	text := s.Stage
	if s.Cursor < s.Target {
		text = fmt.Sprintf("%d of %d, %s, %d blocks/s", s.Cursor, s.Target, s.Stage, s.BlocksPerSecond)
		if left := time.Duration(s.SecondsLeft * float64(time.Second)); left > 0 {
			text += fmt.Sprintf(", %s left", left.Round(time.Second))
		}
	}
	return text + note(s.Reason)
}

func driftText(s admin.Status) string {
	text := ""
	if s.Drift {
		text = ", the file differs from what runs: see `alys plan`"
	}
	for _, r := range s.Rejected {
		text += fmt.Sprintf(", %s was rejected: %s", shortHash(r.Hash), r.Reason)
	}
	return text
}

func routeText(r admin.RouteStatus) string {
	parts := []string{"primary " + r.Primary}
	for _, p := range []struct{ position, plugin string }{{"fallback", r.Fallback}, {"shadow", r.Shadow}} {
		if p.plugin != "" {
			parts = append(parts, p.position+" "+p.plugin)
		}
	}
	if r.Canary != "" {
		parts = append(parts, fmt.Sprintf("canary %s %d %%", r.Canary, r.CanaryPercent))
	}
	return strings.Join(parts, ", ")
}

func note(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

// shortHash is the beginning of a hash; what is no hash, such as the step of a migration, stays whole.
func shortHash(h string) string {
	if len(h) > 12 && !strings.ContainsRune(h, ' ') {
		return h[:12]
	}
	return h
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
