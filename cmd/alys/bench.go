package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/alys-node/alys/core/admin"
)

func newBench(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a development chain that runs",
		Args:  noSubcommand, RunE: help,
		Example: "  alys bench sign\n  alys bench sign --swaps 1000",
	}
	cmd.AddCommand(newBenchSign(f))
	return cmd
}

func newBenchSign(f *flags) *cobra.Command {
	r := admin.BenchSignRequest{}
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Put a load of signatures on the signer's route, and swap the signer meanwhile",
		Long: `Put a load of signatures on the signer's route of a running node, and swap the signer meanwhile. The signatures
take the way of real approvals: the guard's two fsynced records, the route, the plugin over gRPC with
mutual TLS, verification. They are made with keys that everybody knows, under a chain that does not exist, with records
of their own, so that they can never conflict with a real one. Calls come on a fixed schedule, and the time of each
counts from when it was due: what waits behind a slow call is counted as late. After 2 seconds of warm-up comes a steady
part, and then, with --swaps, as many hot swaps in a row, without probation, between the signer that alys.hcl names and
another one. In the end the route is as it was. It works on a development chain alone, with signers that have bench = true in their config. Exit code 1 when a call
failed or a slot was missed.`,
		Example: "  alys bench sign --duration 60s\n  alys bench sign --swaps 1000 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			result, err := c.BenchSign(cmd.Context(), r, benchProgress(cmd.ErrOrStderr(), r))
			if err != nil {
				return err
			}
			if f.json {
				err = printJSON(cmd.OutOrStdout(), result)
			} else {
				err = printBench(cmd.OutOrStdout(), result)
			}
			if err == nil && benchFailed(result) {
				return exitError(1)
			}
			return err
		},
	}
	cmd.Flags().Float64Var(&r.Rate, "rate", 200, "signatures a second")
	cmd.Flags().DurationVar(&r.Duration, "duration", 30*time.Second, "how long the steady part takes")
	cmd.Flags().IntVar(&r.Swaps, "swaps", 0, "hot swaps in a row after the steady part, under the same load")
	cmd.Flags().StringVar(&r.With, "with", "", "the signer to swap with (default: the only other one with the same command)")
	return cmd
}

func benchFailed(r admin.BenchSignResult) bool {
	return r.Steady.Failed > 0 || r.Swapping != nil && r.Swapping.Failed > 0 || r.MissedSlots > 0 || r.FirstFailure != ""
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// benchProgress keeps one line up to date on a terminal, and is silent elsewhere.
func benchProgress(w io.Writer, r admin.BenchSignRequest) func(admin.BenchProgress) {
	if !isTerminal(w) {
		return func(admin.BenchProgress) {}
	}
	return func(p admin.BenchProgress) {
		_, _ = fmt.Fprintf(w, "\r%-9s %d calls, %d failed, swap %d of %d   \r", p.Part, p.Calls, p.Failed, p.Swaps, r.Swaps)
	}
}

func printBench(w io.Writer, r admin.BenchSignResult) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintf(t, "%v signatures/s\tseconds\tcalls\tfailed\tp50\tp99\tp99.9\tmax\tlongest gap\t\n", r.Rate)
	rows := []struct {
		name  string
		calls *admin.BenchCalls
	}{{"steady", &r.Steady}, {fmt.Sprintf("during %d swaps", r.Swaps), r.Swapping}}
	for _, row := range rows {
		if c := row.calls; c != nil {
			_, _ = fmt.Fprintf(t, "%s\t%.1f\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t\n",
				row.name, c.Seconds, c.Calls, c.Failed, ms(c.P50), ms(c.P99), ms(c.P999), ms(c.Max), ms(c.Gap))
		}
	}
	if r.Swapping != nil {
		_, _ = fmt.Fprintf(t, "p99.9, swapping to steady\t%.2f\t\n\t\nstep of a swap\tp50\tp99\tmax\t\n", r.Ratio)
		for _, s := range r.Steps {
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", s.Step, ms(s.P50), ms(s.P99), ms(s.Max))
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print measurement: %w", err)
	}
	for _, row := range rows {
		if c := row.calls; c != nil && c.Calls < c.Due*keptUp/100 {
			_, _ = fmt.Fprintf(w, "\n%s: %d calls were due and %d answered: this machine did not keep up, and the times are those of a queue\n", row.name, c.Due, c.Calls)
		}
	}
	var memory []string
	for _, name := range sortedKeys(r.PluginMemory) {
		memory = append(memory, fmt.Sprintf("%s %d MB", name, r.PluginMemory[name]>>20))
	}
	_, err := fmt.Fprintf(w, "\nthe chain meanwhile: %s, %s missed\nmemory: node %d MB, %s\n",
		count(int(r.ChainBlocks), "block"), count(int(r.MissedSlots), "slot"), r.NodeMemory>>20, strings.Join(memory, ", "))
	if err == nil && r.FirstFailure != "" {
		_, err = fmt.Fprintf(w, "the first failed call: %s\n", r.FirstFailure)
	}
	if err != nil {
		return fmt.Errorf("print measurement: %w", err)
	}
	return nil
}

// keptUp is the percentage of the calls due below which times say nothing of a single call.
const keptUp = 97

// ms is a time in milliseconds.
func ms(seconds float64) string { return fmt.Sprintf("%.2f ms", seconds*1000) }
