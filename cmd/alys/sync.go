package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/node"
	"github.com/alys-node/alys/sdk/chain"
)

func newSync(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sync",
		Short:   "Show how far the node is, and check or mend its stored chain",
		Args:    noSubcommand,
		RunE:    help,
		Example: "  alys sync status\n  alys sync checkpoint verify",
		Long:    "A node that was away catches up by itself, and goes on after a crash where it was. What is here is for looking,\nand for a disk that lost or changed what was on it.",
	}
	checkpoint := &cobra.Command{
		Use:     "checkpoint",
		Short:   "Checkpoints of a node's stored chain: list them, verify what is between, resume from the last",
		Args:    noSubcommand,
		RunE:    help,
		Example: "  alys sync checkpoint list",
		Long: fmt.Sprintf("A checkpoint is a safe block: every %dth, and the youngest. Nothing of it is kept beside the chain: a checkpoint is\n"+
			"as good as the stored block, which every command here reads again. list and verify work beside a running node, which\n"+
			"reads its own blocks for them, up to the safe block; resume changes the folder and needs the node stopped.", node.CheckpointInterval),
	}
	checkpoint.AddCommand(newCheckpointList(f), newCheckpointVerify(f), newCheckpointResume(f))
	cmd.AddCommand(newSyncStatus(f), checkpoint)
	return cmd
}

func newSyncStatus(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show how far a running node's sync is, and what it waits for",
		Example: "  alys sync status --json",
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
				return printJSON(cmd.OutOrStdout(), s.Sync)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, %s\n", syncText(s.Sync), count(len(s.Peers), "peer"))
			return err
		},
	}
}

func newCheckpointList(f *flags) *cobra.Command {
	last := 20
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the last checkpoints, each checked by itself",
		Example: "  alys sync checkpoint list --last 5",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if last < 1 {
				return fmt.Errorf("--last is %d: name 1 or more", last)
			}
			list, err := f.checkpoints(cmd, last)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), list)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			_, _ = fmt.Fprintln(t, "HEIGHT\tHASH\tPARENT\tSTATE ROOT\tTIME\tVERIFIED")
			for _, c := range list {
				verified := "yes"
				if !c.Verified {
					verified = "NO: " + c.Problem
				}
				_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", c.Height, c.Hash.Short(), c.Parent.Short(), c.StateRoot.Short(),
					c.Time.Format(time.RFC3339), verified)
			}
			return t.Flush()
		},
	}
	cmd.Flags().IntVar(&last, "last", last, "how many, from the youngest down")
	return cmd
}

func newCheckpointVerify(f *flags) *cobra.Command {
	var engine bool
	cmd := &cobra.Command{
		Use:     "verify",
		Short:   "Read the whole stored chain again: hash links, bodies and every certificate; exit code 1 where it is damaged",
		Example: "  alys sync checkpoint verify --engine",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.checkChain(cmd, engine)
			if err != nil {
				return err
			}
			if f.json {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = printChecked(cmd.OutOrStdout(), r, engine)
			}
			if err == nil && r.Bad > 0 {
				return exitError(1)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&engine, "engine", false, "ask the engine for the checkpoints' blocks as well")
	return cmd
}

// checkpoints asks the node that runs, or else reads its folder.
func (f *flags) checkpoints(cmd *cobra.Command, last int) ([]admin.Checkpoint, error) {
	running, err := f.client()
	if err != nil {
		return nil, err
	}
	list, err := running.Checkpoints(cmd.Context(), last)
	if !errors.Is(err, admin.ErrNoNode) {
		return list, err
	}
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return node.Checkpoints(c, last)
}

// checkChain lets the node that runs check its chain, or else reads its folder.
func (f *flags) checkChain(cmd *cobra.Command, engine bool) (admin.CheckedChain, error) {
	told := tellHeights(cmd.ErrOrStderr())
	running, err := f.client()
	if err != nil {
		return admin.CheckedChain{}, err
	}
	if engine {
		if _, err := running.Status(cmd.Context()); !errors.Is(err, admin.ErrNoNode) {
			return admin.CheckedChain{}, errors.Join(errors.New(
				"a node runs here, and its engine is its own: stop the node for --engine, or leave the flag out (the node replays what its engine lacks when it starts)"), err)
		}
	} else {
		r, err := running.CheckChain(cmd.Context(), func(p admin.CheckProgress) {
			if told != nil {
				told(p.Height, p.All)
			}
		})
		if !errors.Is(err, admin.ErrNoNode) {
			return r, err
		}
	}
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return admin.CheckedChain{}, err
	}
	r, err := node.CheckChain(cmd.Context(), c, told)
	if err == nil && engine {
		err = node.CheckEngine(cmd.Context(), c, &r)
	}
	return r, err
}

func printChecked(w io.Writer, r admin.CheckedChain, engine bool) error {
	text := fmt.Sprintf("blocks 1 to %d are whole, linked and certified; safe block %d, finalized block %d\n", r.Checked, r.Safe.Height, r.Finalized.Height)
	if r.Checked == 0 {
		text = "there is no block above genesis\n"
	}
	if r.Bad > 0 {
		text = fmt.Sprintf("damaged at block %d: %s\nhead %d, safe block %d; what to do: stop the node if it runs, and `alys sync checkpoint resume`\n", r.Bad, r.Reason, r.Head.Height, r.Safe.Height)
	}
	switch {
	case !engine:
	case r.EngineMissing > 0:
		text += fmt.Sprintf("the engine has block %d and not block %d: the node replays what is missing when it starts\n", r.Engine, r.EngineMissing)
	default:
		text += fmt.Sprintf("the engine has every checkpoint up to block %d\n", r.Engine)
	}
	_, err := io.WriteString(w, text)
	return err
}

func newCheckpointResume(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "resume",
		Short:   "Verify, and let a damaged chain go on from its last sound checkpoint",
		Example: "  alys sync checkpoint resume",
		Args:    cobra.NoArgs,
		Long: "Where the stored chain is whole, nothing is done: the node goes on at its head. Where it is damaged, all blocks above\n" +
			"the last sound checkpoint are forgotten, and fetched from peers and executed again after the start. A node whose keys\n" +
			"have approved blocks is refused: it must not forget what it saw notarized, and is told what to do instead.\n" +
			"The node must be stopped: what is forgotten on disk, a running one would still have in memory, tell its peers of and\n" +
			"build on. `alys sync checkpoint verify` says beside the running node whether there is anything to mend.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.refuseRunning(cmd); err != nil {
				return err
			}
			c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			r, err := node.Resume(cmd.Context(), c, tellHeights(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), r)
			}
			text := fmt.Sprintf("nothing to do: blocks 1 to %d are whole, the node goes on from there\n", r.Head.Height)
			if r.Resumed {
				text = fmt.Sprintf("damaged at block %d: %s\nthe node goes on from checkpoint %d %s; blocks %d to %d are fetched again\n",
					r.Bad, r.Reason, r.From.Height, r.From.Hash.Short(), r.From.Height+1, r.Head.Height)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
}

// refuseRunning says what to do where a node runs that would have to be stopped.
func (f *flags) refuseRunning(cmd *cobra.Command) error {
	running, err := f.client()
	if err != nil {
		return err
	}
	s, err := running.Status(cmd.Context())
	if errors.Is(err, admin.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("node %s runs (head %d, safe block %d) and is left alone: what is forgotten on disk it would still have in memory.\n"+
		"  `alys sync checkpoint verify` says beside it whether anything is damaged; if so, stop it, run this again, and start it",
		s.Name, s.Head.Height, s.Safe.Height)
}

// tellHeights shows on a terminal how far a check is.
func tellHeights(w io.Writer) func(done, all chain.Height) {
	if !isTerminal(w) {
		return nil
	}
	return func(done, all chain.Height) {
		end := "\r"
		if done == all {
			end = "\n"
		}
		_, _ = fmt.Fprintf(w, "%d of %d blocks%s", done, all, end)
	}
}
