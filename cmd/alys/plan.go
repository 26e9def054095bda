package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/alys-node/alys/core/admin"
)

// savedPlan is the file that `plan -out` writes: the answer and where it came from.
type savedPlan struct {
	Source admin.Source       `json:"source"`
	Plan   admin.PlanResponse `json:"plan"`
}

func newPlan(f *flags) *cobra.Command {
	var out string
	var detailed bool
	cmd := &cobra.Command{
		Use:     "plan",
		Short:   "Show what an apply would change, and change nothing",
		Long:    "Show what an apply would change, and change nothing. New plugins are started as probes: handshake, schema and\nvalidation, without being configured.",
		Example: "  alys plan\n  alys plan -out step.plan && alys apply step.plan\n  alys plan --detailed-exitcode   # 0 nothing to do, 1 failed, 2 changes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			saved, err := f.plan(cmd)
			if err != nil {
				return err
			}
			if out != "" {
				if err := writePlan(out, saved); err != nil {
					return err
				}
			}
			if detailed && !saved.Plan.NoOp {
				return exitError(2)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the plan to this file, for `alys apply FILE`")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 2 when there are changes")
	return cmd
}

// plan asks the node and prints the answer.
func (f *flags) plan(cmd *cobra.Command) (savedPlan, error) {
	var saved savedPlan
	c, err := f.client()
	if err != nil {
		return saved, err
	}
	if saved.Source, err = f.source(); err != nil {
		return saved, err
	}
	if saved.Plan, err = c.Plan(cmd.Context(), saved.Source); err != nil {
		return saved, err
	}
	if f.json {
		if err := printJSON(cmd.OutOrStdout(), saved.Plan); err != nil {
			return saved, err
		}
	} else {
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), saved.Plan.Rendered)
		_, _ = fmt.Fprint(cmd.OutOrStdout(), colorPlan(saved.Plan.Text, useColor(cmd.OutOrStdout())))
	}
	if saved.Plan.Invalid {
		return saved, exitError(1)
	}
	return saved, nil
}

func newApply(f *flags) *cobra.Command {
	var auto, allowGap, retry bool
	cmd := &cobra.Command{
		Use:     "apply [PLAN]",
		Short:   "Make what runs equal to alys.hcl, without a stop",
		Long:    "Make what runs equal to alys.hcl. Each new plugin is started beside the old one, admitted, switched to, and watched;\na failure leaves or brings back the old route.",
		Example: "  alys apply\n  alys apply --auto-approve\n  alys apply step.plan",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			saved, err := f.planOrFile(cmd, args)
			if err != nil {
				return err
			}
			if saved.Plan.NoOp && !retry {
				return nil
			}
			if saved.Plan.Gap && !allowGap {
				return errors.New("nothing can answer while this is swapped: read the plan, then say --allow-gap")
			}
			if !auto && len(args) == 0 {
				if err := confirm(cmd); err != nil {
					return err
				}
			}
			return f.apply(cmd, admin.ApplyRequest{
				Source: saved.Source, Serial: saved.Plan.Serial, Hash: saved.Plan.Hash, AllowGap: allowGap, Retry: retry, By: whoami(),
			})
		},
	}
	cmd.Flags().BoolVar(&auto, "auto-approve", false, "do not ask")
	cmd.Flags().BoolVar(&allowGap, "allow-gap", false, "accept the gap that the plan names")
	cmd.Flags().BoolVar(&retry, "retry", false, "try a configuration again that was flipped back")
	return cmd
}

func (f *flags) planOrFile(cmd *cobra.Command, args []string) (savedPlan, error) {
	if len(args) == 0 {
		return f.plan(cmd)
	}
	var saved savedPlan
	raw, err := os.ReadFile(args[0])
	if err != nil {
		return saved, fmt.Errorf("read plan: %w", err)
	}
	if err := json.Unmarshal(raw, &saved); err != nil || saved.Plan.Hash == "" {
		return saved, fmt.Errorf("%s is not a plan: write one with `alys plan -out %s`", args[0], args[0])
	}
	return saved, nil
}

func (f *flags) apply(cmd *cobra.Command, r admin.ApplyRequest) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	outcome, err := c.Apply(cmd.Context(), r, f.progress(cmd.OutOrStdout()))
	return f.finish(cmd, outcome, err)
}

func newRollback(f *flags) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:     "rollback --role ROLE",
		Short:   "Go back to the route that a role had before its last change",
		Long:    "Go back to the route that a role had before its last change. Works with a broken alys.hcl: the way back is in the\nnode's journal. The file is not edited; `alys status` then shows drift.",
		Example: "  alys rollback --role signer",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role == "" {
				return errors.New("which role? say --role signer, engine or sync: `alys status` shows them")
			}
			c, err := f.client()
			if err != nil {
				return err
			}
			outcome, err := c.Rollback(cmd.Context(), admin.RollbackRequest{Role: role, By: whoami()}, f.progress(cmd.OutOrStdout()))
			return f.finish(cmd, outcome, err)
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "the role: signer, engine or sync")
	return cmd
}

func (f *flags) progress(w io.Writer) func(admin.Progress) {
	return func(p admin.Progress) {
		if !f.json {
			_, _ = fmt.Fprintf(w, "  %-10s %-12s %6.0f ms\n", p.Role, p.Step, p.Seconds*1000)
		}
	}
}

func (f *flags) finish(cmd *cobra.Command, outcome string, err error) error {
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), map[string]string{"outcome": outcome})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), outcome)
	return err
}

// confirm asks for the word yes, as Terraform does.
func confirm(cmd *cobra.Command) error {
	if in, ok := cmd.InOrStdin().(*os.File); ok && !term.IsTerminal(int(in.Fd())) {
		if info, err := in.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return errors.New("nobody is there to say yes: use --auto-approve")
		}
	}
	_, _ = fmt.Fprint(cmd.OutOrStdout(), "\nApply this? Only `yes` is taken: ")
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && line == "" {
		return errors.New("no answer: nothing was changed (use --auto-approve where nobody is there to ask)")
	}
	if strings.TrimSpace(line) != "yes" {
		return errors.New("not approved: nothing was changed")
	}
	return nil
}

func writePlan(path string, p savedPlan) error {
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

// colorPlan colours the lines of a plan by their first sign.
func colorPlan(text string, color bool) string {
	if !color {
		return text
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		switch sign, _, _ := strings.Cut(strings.TrimLeft(line, " "), " "); sign {
		case "+":
			lines[i] = "\x1b[32m" + line + "\x1b[0m"
		case "-":
			lines[i] = "\x1b[31m" + line + "\x1b[0m"
		case "~", "!":
			lines[i] = "\x1b[33m" + line + "\x1b[0m"
		}
	}
	return strings.Join(lines, "")
}

func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
