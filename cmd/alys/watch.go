package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/alys-node/alys/core/admin"
)

const (
	lookEvery   = 500 * time.Millisecond // a part of the shortest slot
	lookTimeout = 5 * time.Second
)

func newWatch(f *flags) *cobra.Command {
	var plain bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Watch a node live: slots, approvals, heads, sync, peers, roles",
		Long: "Watch a node live: the last slots with their authors and approvals, heads, sync, peers, and which plugin serves each role. It\n" +
			"goes on when the node is restarted; q quits.\n\n" +
			"--plain, NO_COLOR, or an output that is no terminal print one line for each slot instead, when it is over or every authority has\n" +
			"approved its block; --json prints the same as one JSON object a line. While the node is behind, they tell how far sync is.\n\n" +
			"An authority does not approve a block that has its quorum already: one that is missing among a block's approvals need not be away.",
		Example: "  alys watch\n  alys watch --plain --data-dir data/node-1\n  alys watch --json | jq .approvals",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			first := look(ctx, c)
			if first.err != nil {
				return first.err // a wrong folder more likely than a restart just now
			}
			if f.json || plain || !isScreen(out) {
				return watchPlain(ctx, c, &reporter{out: out, json: f.json}, first)
			}
			return watchScreen(ctx, c, out, first)
		},
	}
	cmd.Flags().BoolVar(&plain, "plain", false, "print one line for each slot")
	return cmd
}

// isScreen reports whether w is a terminal that can be drawn on: both ends are needed, for q comes from the keyboard.
func isScreen(w io.Writer) bool {
	return useColor(w) && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stdin.Fd()))
}

// sight is what one look at the node showed.
type sight struct {
	at     time.Time
	status admin.Status
	slots  admin.Slots
	err    error // why there is nothing to see
}

// look asks the node.
func look(ctx context.Context, c *admin.Client) sight {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	s := sight{}
	if s.status, s.err = c.Status(ctx); s.err == nil {
		s.slots, s.err = c.Slots(ctx)
	}
	s.at = time.Now()
	return s
}

// watchPlain prints lines until ctx ends or nobody reads them.
func watchPlain(ctx context.Context, c *admin.Client, r *reporter, first sight) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for s := first; ; s = look(ctx, c) {
		if ctx.Err() != nil {
			return nil
		}
		if err := r.show(s); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// watchScreen draws until q or the end of ctx.
func watchScreen(ctx context.Context, c *admin.Client, out io.Writer, first sight) error {
	m := screen{look: func() sight { return look(ctx, c) }, paint: colours(), last: first}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("draw on the terminal: %w", err)
	}
	return nil
}
