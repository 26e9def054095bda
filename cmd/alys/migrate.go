package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/node"
)

func newMigrate(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move a role to another plugin by a schedule with gates, and back",
		Args:  noSubcommand, RunE: help,
		Example: "  alys migrate plan engine-v5\n  alys migrate start engine-v5\n  alys migrate watch engine-v5\n  alys migrate rollback engine-v5",
		Long: "A migration block of alys.hcl lists routes, how long each soaks, and the gates between them. A run goes through them by\n" +
			"itself, or back to where it began when a gate fails. While it is active it owns its role: nothing else changes it. Every\n" +
			"decision is in the audit log with its numbers.",
	}
	cmd.AddCommand(
		newMigratePlan(f), newMigrateStart(f), newMigrateWatch(f), newMigrateEdit(f), newMigrateVerify(f),
		newMigrateQuestion(f, admin.MigrationStatus, "Show the last run of every migration, or of one", "  alys migrate status engine-v5 --json"),
		newMigrateQuestion(f, admin.MigrationHistory, "Show every word and decision, from the audit log", "  alys migrate history engine-v5"),
	)
	for _, w := range migrationWords() {
		cmd.AddCommand(newMigrateWord(f, w))
	}
	return cmd
}

// askMigration asks a running node and prints its answer.
func (f *flags) askMigration(cmd *cobra.Command, r admin.MigrationRequest) (admin.MigrationResponse, error) {
	c, err := f.client()
	if err != nil {
		return admin.MigrationResponse{}, err
	}
	r.By = whoami()
	a, err := c.Migration(cmd.Context(), r)
	if err != nil {
		return a, err
	}
	return a, f.printMigration(cmd.OutOrStdout(), a)
}

func (f *flags) printMigration(w io.Writer, a admin.MigrationResponse) error {
	if f.json {
		return printJSON(w, a.Data)
	}
	_, err := io.WriteString(w, a.Text)
	return err
}

// migrationWord is a command that only passes on what was said; flags, if not nil, adds to it.
type migrationWord struct {
	ask, short string
	example    string // beside the name alone
	flags      func(*pflag.FlagSet, *admin.MigrationRequest)
}

func migrationWords() []migrationWord {
	return []migrationWord{
		{admin.MigrationPause, "Let no step be left; what fails still goes back", " --reason weekend", func(fs *pflag.FlagSet, r *admin.MigrationRequest) {
			fs.StringVar(&r.Reason, "reason", "", "why, for the log")
			fs.BoolVar(&r.Hold, "hold", false, "keep the route on a failure, too, and wait for a human")
		}},
		{admin.MigrationResume, "Go on after a pause, or after the run held by itself", "", nil},
		{admin.MigrationApprove, "Give the word that the run waits for", "", func(fs *pflag.FlagSet, r *admin.MigrationRequest) {
			fs.BoolVar(&r.NoReturn, "allow-no-return", false, "accept that the next step makes the way back impossible")
		}},
		{admin.MigrationAbort, "End the run and keep the route that is applied", "", nil},
		{admin.MigrationRollback, "Go back to the route at the start, by one change at the same head", "", func(fs *pflag.FlagSet, r *admin.MigrationRequest) {
			fs.StringVar(&r.Reason, "reason", "", "why, for the log")
		}},
		{admin.MigrationRelease, "Let alys.hcl decide about the role of a run that has ended", "", nil},
		{admin.MigrationExplain, "Say gate by gate why the run is where it is", "", nil},
	}
}

func newMigrateWord(f *flags, w migrationWord) *cobra.Command {
	r := admin.MigrationRequest{Ask: w.ask}
	cmd := &cobra.Command{
		Use: w.ask + " NAME", Short: w.short, Example: "  alys migrate " + w.ask + " engine-v5" + w.example, Args: oneMigration,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			_, err := f.askMigration(cmd, r)
			return err
		},
	}
	if w.flags != nil {
		w.flags(cmd.Flags(), &r)
	}
	return cmd
}

// newMigrateQuestion is a command about all migrations, or one.
func newMigrateQuestion(f *flags, ask, short, example string) *cobra.Command {
	return &cobra.Command{
		Use: ask + " [NAME]", Short: short, Example: example, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := admin.MigrationRequest{Ask: ask}
			if len(args) > 0 {
				r.Name = args[0]
			}
			_, err := f.askMigration(cmd, r)
			return err
		},
	}
}

func oneMigration(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the name of a migration block, as in: %s", strings.TrimSpace(strings.Split(cmd.Example, "\n")[0]))
	}
	return nil
}

func newMigratePlan(f *flags) *cobra.Command {
	return &cobra.Command{
		Use: "plan NAME", Short: "Show what a run would do, step by step, and what each gate needs; exit code 1 when it could not start",
		Example: "  alys migrate plan engine-v5", Args: oneMigration,
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := f.source()
			if err != nil {
				return err
			}
			a, err := f.askMigration(cmd, admin.MigrationRequest{Ask: admin.MigrationPlan, Name: args[0], Source: source})
			if err == nil && a.Bad {
				return exitError(1)
			}
			return err
		},
	}
}

func newMigrateStart(f *flags) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "start NAME", Short: "Start a run", Args: oneMigration,
		Example: "  alys migrate start engine-v5",
		Long:    "Show the plan, ask, and start the run. It goes on by itself from there, over restarts of the node.",
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := f.source()
			if err != nil {
				return err
			}
			c, err := f.client()
			if err != nil {
				return err
			}
			r := admin.MigrationRequest{Ask: admin.MigrationPlan, Name: args[0], Source: source, By: whoami()}
			plan, err := c.Migration(cmd.Context(), r)
			if err != nil {
				return err
			}
			if !f.json || plan.Bad {
				_, _ = io.WriteString(cmd.OutOrStdout(), plan.Text)
			}
			if plan.Bad {
				return exitError(1)
			}
			if !yes {
				if err := confirm(cmd); err != nil {
					return err
				}
			}
			r.Ask = admin.MigrationStart
			_, err = f.askMigration(cmd, r)
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "auto-approve", false, "do not ask")
	return cmd
}

func newMigrateWatch(f *flags) *cobra.Command {
	every := time.Second
	cmd := &cobra.Command{
		Use: "watch NAME", Short: "Print the run's state and gates whenever they change, until it ends", Example: "  alys migrate watch engine-v5",
		Args: oneMigration,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			last := ""
			for {
				a, err := c.Migration(cmd.Context(), admin.MigrationRequest{Ask: admin.MigrationExplain, Name: args[0]})
				if err != nil {
					return err
				}
				if a.Text != last {
					last = a.Text
					if err := f.printMigration(cmd.OutOrStdout(), a); err != nil {
						return err
					}
				}
				if ended, err := runEnded(a); ended || err != nil {
					return err
				}
				select {
				case <-time.After(every):
				case <-cmd.Context().Done():
					return nil
				}
			}
		},
	}
	cmd.Flags().DurationVar(&every, "every", every, "how often to look")
	return cmd
}

func runEnded(a admin.MigrationResponse) (bool, error) {
	var e struct {
		Status struct {
			State string `json:"state"`
		} `json:"status"`
	}
	if err := json.Unmarshal(a.Data, &e); err != nil {
		return false, fmt.Errorf("decode the node's answer: %w", err)
	}
	return node.MigrationEnded(e.Status.State), nil
}

func newMigrateEdit(f *flags) *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use: "edit NAME", Short: "Show the edit of alys.hcl that a finished run asks for, or make it", Args: oneMigration,
		Example: "  alys migrate edit engine-v5\n  alys migrate edit engine-v5 --write",
		Long: "A run that has ended holds its route against alys.hcl, over restarts, until the file says the same. --write makes the\n" +
			"edit and keeps comments; `alys apply` then finds nothing to do, and the file decides again.",
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := f.askMigration(cmd, admin.MigrationRequest{Ask: admin.MigrationEdit, Name: args[0]})
			if err != nil || !write {
				return err
			}
			var edit config.RouteEdit
			if err := json.Unmarshal(a.Data, &edit); err != nil {
				return fmt.Errorf("decode the node's answer: %w", err)
			}
			return f.writeRoute(cmd, edit)
		},
	}
	cmd.Flags().BoolVar(&write, "write", false, "make the edit")
	return cmd
}

// writeRoute edits the file of the configuration that has the role's block.
func (f *flags) writeRoute(cmd *cobra.Command, edit config.RouteEdit) error {
	c, err := f.load(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	for _, r := range c.Roles {
		if r.ID.String() != edit.Role {
			continue
		}
		src, err := os.ReadFile(r.Range.File)
		if err != nil {
			return err
		}
		out, err := edit.Apply(src)
		if err != nil {
			return err
		}
		if err := replaceFile(r.Range.File, out); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s is written: `alys apply` lets it decide again\n", r.Range.File)
		return err
	}
	return fmt.Errorf("%s: role %s: %w", c.Path, edit.Role, config.ErrNoRoleBlock)
}

func newMigrateVerify(f *flags) *cobra.Command {
	var phase string
	cmd := &cobra.Command{
		Use: "verify", Short: "Check what a phase of the migration plan has to have reached: pass, fail or not measured; exit code 1 on a failure",
		Example: "  alys migrate verify --phase engine", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if phase == "" {
				return errors.New("name a phase: --phase " + strings.Join(node.Phases(), " | "))
			}
			a, err := f.askMigration(cmd, admin.MigrationRequest{Ask: admin.MigrationVerify, Phase: phase})
			if err == nil && a.Bad {
				return exitError(1)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&phase, "phase", "", strings.Join(node.Phases(), ", "))
	return cmd
}

func newAudit(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "audit", Short: "Check the audit log of migrations", Args: noSubcommand, RunE: help, Example: "  alys audit verify",
		Long: "The audit log is one file in the data folder. Each record is chained to the one before by its hash, so that none can be\nchanged or taken out unseen. Keep the last sum elsewhere to see a log that was cut at its end.",
	}
	cmd.AddCommand(&cobra.Command{
		Use: "verify", Short: "Verify the chain of the log, with or without a running node", Example: "  alys audit verify", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			v, err := node.VerifyAudit(c)
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), v)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, chained; the last sum is %s\n", count(v.Records, "record"), v.Sum)
			return err
		},
	})
	return cmd
}
