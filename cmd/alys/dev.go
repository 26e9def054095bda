package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
)

func newDev(f *flags) *cobra.Command {
	var nodes int
	var breaking bool
	var chaos node.Chaos
	cmd := &cobra.Command{
		Use:     "dev",
		Short:   "Start a whole chain on this machine",
		Long:    "Start a chain of its own on this machine: a node that authors blocks, its plugins in processes of their own, and an\nembedded geth behind wallet JSON-RPC. Everything lies under one data folder; the configuration that it writes there\nis yours to edit and apply while blocks go on. Ctrl-C stops everything.\n\n--nodes runs a federation: real processes that agree over the network, each with plugins and an engine of its own.\n--chaos kills, freezes and slows the plugins and corrupts their answers while the chain runs; the end tells how it went.",
		Example: "  alys dev\n  alys dev --data-dir /tmp/chain\n  alys dev --nodes 4\n  alys dev --chaos --chaos-every 5s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := f.dataDir
			if dir == "" {
				dir = "data"
			}
			dir, err := filepath.Abs(dir)
			if err != nil {
				return fmt.Errorf("find data folder: %w", err)
			}
			switch {
			case nodes != 1 && breaking:
				return errors.New("--chaos breaks the plugins of one node: run it without --nodes")
			case nodes != 1:
				return f.devNodes(cmd.Context(), cmd.OutOrStdout(), dir, nodes)
			case !breaking:
				return f.dev(cmd, dir, nil)
			}
			return f.dev(cmd, dir, &chaos)
		},
	}
	cmd.Flags().BoolVar(&breaking, "chaos", false, "break the plugins while the chain runs")
	cmd.Flags().DurationVar(&chaos.Every, "chaos-every", 10*time.Second, "mean pause between two faults")
	cmd.Flags().Uint64Var(&chaos.Seed, "chaos-seed", 0, "choose the faults as another run did (default: by the clock)")
	cmd.Flags().IntVar(&nodes, "nodes", 1, "how many authorities, each a node of its own: 1 to 15")
	return cmd
}

func (f *flags) dev(cmd *cobra.Command, dir string, chaos *node.Chaos) error {
	if err := checkSocketPath(filepath.Join(dir, socketName)); err != nil {
		return fmt.Errorf("%w: choose a shorter --data-dir", err)
	}
	path, err := node.PrepareDev(dir)
	if err != nil {
		return fmt.Errorf("%w: choose another folder with --data-dir", err)
	}
	f.config = path
	options, err := f.options()
	if err != nil {
		return err
	}
	c, diags := config.Load(path, options)
	if diags.HasErrors() {
		if err := config.WriteDiagnostics(cmd.ErrOrStderr(), diags, useColor(cmd.ErrOrStderr()), width(cmd.ErrOrStderr())); err != nil {
			return err
		}
		return exitError(1)
	}
	log, closeLog, err := openLog(c, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer closeLog() //nolint:errcheck // nothing is left to do with it
	out := cmd.OutOrStdout()
	_, _ = fmt.Fprintf(out, "alys dev: starting in %s (log: %s)\n", dir, c.Log.File)
	return f.runNode(cmd.Context(), c, node.Options{Log: log, Chaos: chaos, Event: func(e node.Event) {
		if e.Ready != nil {
			welcome(out, c, e.Ready)
			return
		}
		printEvent(out, e)
	}})
}

// welcome says where everything is and what to try next: once the node is up, with the addresses that it really has.
func welcome(w io.Writer, c *config.Config, listeners map[string]string) {
	account := node.DevAccount()
	wallet, path := listeners["wallet"], c.Path
	_, _ = fmt.Fprintf(w, `
alys dev: a chain on this machine (dev only: every key below is public)

  wallet JSON-RPC   http://%s        chain id 121212
  metrics, console  http://%s
  funded account    %s
    private key     %s
  configuration     %s
  log               %s

Try next, in another terminal:
  alys status -c %s
  alys watch -c %s
  curl -s -H 'content-type: application/json' -d '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}' http://%s
  edit the configuration: in role "signer", write primary = plugin.signer.local2
  alys plan -c %s && alys apply -c %s        # the signer is swapped while blocks go on
  alys rollback --role signer -c %s          # and back

Ctrl-C stops everything.

`, wallet, listeners["metrics"], account.Address, account.PrivateKey, path, c.Log.File, path, path, wallet, path, path, path)
}

// restored is how old a head is that is no news: what a node finds in its store when it starts.
const restored = time.Minute

// printEvent prints one line for people.
func printEvent(w io.Writer, e node.Event) {
	at := e.At.Format(time.TimeOnly)
	switch {
	case e.Block != nil && e.Block.SinceSlot < restored:
		b := e.Block
		_, _ = fmt.Fprintf(w, "%s  block %-6d %3d tx  %4d ms into slot %d  safe %-6d %s\n",
			at, b.Head.Height, b.Txs, b.SinceSlot.Milliseconds(), b.Slot, b.Safe.Height, b.Head.Hash.Short())
	case e.Text != "":
		_, _ = fmt.Fprintf(w, "%s  %s\n", at, e.Text)
	}
}
