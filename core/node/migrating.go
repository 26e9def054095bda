package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/migrate"
)

// Migration implements admin.Node.
func (n *Node) Migration(ctx context.Context, r admin.MigrationRequest) (admin.MigrationResponse, error) {
	switch r.Ask {
	case admin.MigrationPlan, admin.MigrationStart:
		return n.beginMigration(ctx, r)
	case admin.MigrationStatus:
		return n.migrationStatus(r.Name)
	case admin.MigrationHistory:
		records := n.migrations.History(r.Name)
		return answer(historyText(records), records, false)
	case admin.MigrationExplain:
		e, err := n.migrations.Explain(r.Name)
		if err != nil {
			return admin.MigrationResponse{}, migrationError(err)
		}
		return answer(explainText(e), e, false)
	case admin.MigrationEdit:
		return n.migrationEdit(r.Name)
	case admin.MigrationVerify:
		return n.verifyPhase(ctx, r.Phase)
	}
	if err := n.migrationWord(ctx, r); err != nil {
		return admin.MigrationResponse{}, migrationError(err)
	}
	return n.migrationStatus(r.Name)
}

// migrationWord does what changes a run that is there.
func (n *Node) migrationWord(ctx context.Context, r admin.MigrationRequest) error {
	switch r.Ask {
	case admin.MigrationPause:
		return n.migrations.Pause(ctx, r.Name, migrate.PauseOptions{By: r.By, Reason: r.Reason, Hold: r.Hold})
	case admin.MigrationResume:
		return n.migrations.Resume(ctx, r.Name, r.By)
	case admin.MigrationApprove:
		return n.migrations.Approve(ctx, r.Name, migrate.ApproveOptions{By: r.By, NoReturn: r.NoReturn})
	case admin.MigrationAbort:
		return n.migrations.Abort(ctx, r.Name, r.By)
	case admin.MigrationRollback: // it outlives a terminal that goes away
		return n.migrations.Rollback(context.WithoutCancel(ctx), r.Name, migrate.RollbackOptions{By: r.By, Reason: r.Reason})
	case admin.MigrationRelease:
		s, err := n.lastRun(r.Name)
		if err != nil {
			return err
		}
		return n.migrations.Release(ctx, s.Role, r.By)
	}
	return &admin.Error{Code: "invalid", Message: fmt.Sprintf("nobody can ask a migration for %q", r.Ask)}
}

// beginMigration plans or starts a run of a block of the file.
func (n *Node) beginMigration(ctx context.Context, r admin.MigrationRequest) (admin.MigrationResponse, error) {
	c, _, diags := n.read(ctx, r.Source)
	if err := diags.Err(); err != nil {
		return admin.MigrationResponse{}, &admin.Error{Code: "invalid", Message: err.Error(), Hint: "run `alys plan`"}
	}
	i := slices.IndexFunc(c.Migrations, func(m config.Migration) bool { return m.Name == r.Name })
	if i < 0 {
		names := make([]string, len(c.Migrations))
		for i, m := range c.Migrations {
			names[i] = m.Name
		}
		return admin.MigrationResponse{}, &admin.Error{
			Code: "unknown", Message: fmt.Sprintf("%s has no block migration %q%s", c.Path, r.Name, config.DidYouMean(r.Name, names)),
			Hint: "write one: examples/full.hcl has every argument",
		}
	}
	n.blocks.use(c) // the newcomer's block is in this file
	s := migrationOf(c.Migrations[i], c.Hash)
	if r.Ask == admin.MigrationPlan {
		p, err := n.migrations.Plan(ctx, s)
		if err != nil {
			return admin.MigrationResponse{}, migrationError(err)
		}
		return answer(p.String(), p, len(p.Problems) > 0)
	}
	if _, err := n.migrations.Start(ctx, s, r.By); err != nil {
		return admin.MigrationResponse{}, migrationError(err)
	}
	return n.migrationStatus(r.Name)
}

func (n *Node) lastRun(name string) (migrate.Status, error) {
	all := n.migrations.Status()
	i := slices.IndexFunc(all, func(s migrate.Status) bool { return s.Name == name })
	if i < 0 {
		return migrate.Status{}, fmt.Errorf("%w: %q has never run on this node", migrate.ErrUnknown, name)
	}
	return all[i], nil
}

func (n *Node) migrationStatus(name string) (admin.MigrationResponse, error) {
	if name == "" {
		all := n.migrations.Status()
		if len(all) == 0 {
			return answer("No migration has run on this node.\n", []migrate.Status{}, false)
		}
		texts := make([]string, len(all))
		for i, s := range all {
			texts[i] = statusText(s)
		}
		return answer(strings.Join(texts, "\n"), all, false)
	}
	s, err := n.lastRun(name)
	if err != nil {
		return admin.MigrationResponse{}, migrationError(err)
	}
	return answer(statusText(s), s, false)
}

// migrationEdit is what alys.hcl has to say for the route of a run that has ended to be its own.
func (n *Node) migrationEdit(name string) (admin.MigrationResponse, error) {
	s, err := n.lastRun(name)
	if err != nil {
		return admin.MigrationResponse{}, migrationError(err)
	}
	held, base, ok := n.migrations.Override(s.Role)
	if !ok || !s.State.Ended() {
		return admin.MigrationResponse{}, &admin.Error{
			Code: "refused", Message: fmt.Sprintf("migration %s holds no route against alys.hcl: it is %s", name, s.State),
			Hint: "the edit is due when a run has ended with another route than the file's",
		}
	}
	kind, _, _ := strings.Cut(s.Role, "/")
	edit := config.RouteEdit{
		Role: strings.ReplaceAll(s.Role, "/", "."), Primary: held.Primary, Fallback: held.Fallback, Shadow: held.Shadow,
		Canary: held.Canary, Percent: held.Percent,
	}
	return answer(fmt.Sprintf("alys.hcl still says: %s\nThe route that holds:  %s\n\n%s", base, held, edit.Text(kind)), edit, false)
}

func answer(text string, data any, bad bool) (admin.MigrationResponse, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return admin.MigrationResponse{}, fmt.Errorf("encode the answer: %w", err)
	}
	return admin.MigrationResponse{Text: text, Data: raw, Bad: bad}, nil
}

// migrationError gives an error of a migration its code and what to do next.
func migrationError(err error) error {
	for _, known := range []struct {
		is         error
		code, hint string
	}{
		{migrate.ErrInvalid, "invalid", "`alys migrate plan NAME` lists every problem"},
		{migrate.ErrUnknown, "unknown", "`alys migrate status` lists those that ran"},
		{migrate.ErrOwned, "conflict", "`alys migrate status` shows the run"},
		{migrate.ErrEnded, "refused", "start a new run: `alys migrate start NAME`"},
		{migrate.ErrNothingToDo, "refused", "`alys migrate explain NAME` says what the run waits for"},
		{migrate.ErrNoReturn, "refused", "read the plan; the step needs allow_no_return in alys.hcl, or `alys migrate approve NAME --allow-no-return`"},
		{migrate.ErrNoWayBack, "refused", "go forward: `alys migrate explain NAME` says what is missing"},
		{migrate.ErrRollbackPending, "unavailable", "it is tried again by itself: `alys migrate watch NAME`"},
	} {
		if errors.Is(err, known.is) {
			return &admin.Error{Code: known.code, Message: err.Error(), Hint: known.hint}
		}
	}
	return err
}

// MigrationEnded reports whether a run in this state, by its name in JSON, goes on.
func MigrationEnded(state string) bool { return migrate.State(state).Ended() }

// VerifyAudit checks the audit log of a data folder, whether or not a node runs on it.
func VerifyAudit(c *config.Config) (migrate.Verified, error) {
	return migrate.Verify(filepath.Join(c.Node.DataDir, MigrationsLog))
}
