package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// MigrationsLog is the file of the data folder in which every word and decision of a migration is, chained by hash.
const MigrationsLog = "migrations.log"

// openMigrations reads what migrations did so far. A run that was active goes on when the plugins are up.
func (n *Node) openMigrations() error {
	path := filepath.Join(n.opt.Config.Node.DataDir, MigrationsLog)
	log, err := migrate.OpenFileLog(path)
	if err != nil {
		return err
	}
	n.migrationsLog = log
	if cut := log.Cut(); cut > 0 {
		n.log.Warn("the last record of the migration log was not written whole and is cut off", "bytes", cut)
	}
	n.migrations, err = migrate.New(migrate.Options{
		Roles: steward{n}, Meter: n.meter, Log: log, Backups: n.newBackups(), Observer: migrationWatch{n.watch}, Logger: n.log.Named("migration"),
		ApplyTimeout: n.opt.Config.Swap.AdmissionTimeout + n.opt.Config.Swap.StartTimeout,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// newMeter measures for the migrations of a node, which may come later.
func (n *Node) newMeter() *meter {
	return &meter{
		now: time.Now, signs: n.validates(), roles: map[string]*measured{},
		owner: func(role string) bool {
			if n.migrations == nil {
				return false
			}
			_, owned := n.migrations.Owner(role)
			return owned
		},
		primary: func(role string) string {
			s, _, _ := n.swap.AppliedRole(swap.Role(role))
			return s.Route.Primary.Label
		},
		notice: func(e migrate.Event) { n.migrations.Notice(e) },
	}
}

// onTrial reports that a migration is bringing a plugin into a role.
func (n *Node) onTrial(role swap.Role, id route.ID) bool {
	if n.migrations == nil { // routes are there before
		return false
	}
	o, owned := n.migrations.Owner(string(role))
	return owned && o.To == label(id)
}

func (n *Node) engineOnTrial(id route.ID) bool { return n.onTrial(roleEngine, id) }

// hurry has a migration look at what was measured at once.
func (n *Node) hurry(role string) {
	if n.migrations != nil {
		n.migrations.Wake(role)
	}
}

// runMigrations drives them once the node is up.
func (n *Node) runMigrations(ctx context.Context) error {
	select {
	case <-n.up:
		return n.migrations.Run(ctx)
	case <-ctx.Done():
		return nil
	}
}

// migrationOf is a migration block as the controller takes it.
func migrationOf(m config.Migration, hash string) migrate.Schedule {
	s := migrate.Schedule{
		Name: m.Name, Role: string(roleOf(m.Role)), Kind: string(m.Role.Kind), From: m.From.Name, To: m.To.Name,
		OnFailure: m.OnFailure, HealthInterval: m.HealthInterval, Hash: hash,
	}
	for _, st := range m.Steps {
		s.Steps = append(s.Steps, migrate.Step{
			Name: st.Name, Route: labels(routeOf(st.Route)), Soak: st.Soak, MinSamples: uint64(st.MinSamples), Approval: st.Approval,
			NoReturn: st.NoReturn, Gates: st.GateNames,
		})
	}
	for _, g := range m.Gates {
		gate := migrate.Gate{
			Name: g.Name, Metric: g.Metric, Max: g.Max, Min: g.Min, Good: g.Good, Bad: g.Bad, Alpha: g.Alpha, Beta: g.Beta,
		}
		for _, source := range g.Sources {
			gate.Sources = append(gate.Sources, migrate.Source(source))
		}
		s.Gates = append(s.Gates, gate)
	}
	return s
}

// labels is a route by the labels of its plugins.
func labels(r swap.Route) migrate.Route {
	out := migrate.Route{Primary: r.Primary.Label}
	if r.Fallback != nil {
		out.Fallback = r.Fallback.Label
	}
	if r.Shadow != nil {
		out.Shadow = r.Shadow.Label
	}
	if r.Canary != nil {
		out.Canary, out.Percent = r.Canary.Plugin.Label, r.Canary.Percent
	}
	return out
}

// routeFrom is labels the other way.
func routeFrom(kind lifecycle.Kind, r migrate.Route, step string) swap.Route {
	id := func(label string) swap.PluginID { return swap.PluginID{Kind: kind, Label: label} }
	pointer := func(label string) *swap.PluginID {
		if label == "" {
			return nil
		}
		out := id(label)
		return &out
	}
	out := swap.Route{Primary: id(r.Primary), Fallback: pointer(r.Fallback), Shadow: pointer(r.Shadow)}
	if r.Canary != "" {
		out.Canary, out.Step = &swap.Canary{Plugin: id(r.Canary), Percent: r.Percent}, step
	}
	return out
}

// steward changes routes for migrations. It implements migrate.Roles.
type steward struct{ *Node }

// Current implements migrate.Roles.
func (n steward) Current(role string) (migrate.Applied, error) {
	s, serial, ok := n.swap.AppliedRole(swap.Role(role))
	if !ok {
		return migrate.Applied{}, fmt.Errorf("role %s: %w", role, swap.ErrUnknownRole)
	}
	return migrate.Applied{Route: labels(s.Route), Serial: serial, Probation: n.swap.OnProbation(swap.Role(role)), File: n.fileRoute(role)}, nil
}

// Preview implements migrate.Roles. What stands against the route is a problem of it, not an error.
func (n steward) Preview(ctx context.Context, role string, r migrate.Route) (migrate.Preview, error) {
	s, plan, err := n.planRoute(ctx, swap.Role(role), r)
	if err != nil {
		return migrate.Preview{Problems: []string{err.Error()}}, nil //nolint:nilerr // see above
	}
	out := migrate.Preview{Text: plan.String()}
	for _, g := range plan.Gaps {
		out.Problems = append(out.Problems, fmt.Sprintf("for up to %s nothing could answer for role %s: give the plugins folders and ports of their own", g.AtMost, g.Role))
	}
	if s.Route.Primary.Kind == lifecycle.Engine {
		out.NoReturn, out.Forbidden = n.horizons(ctx, r)
	}
	return out, nil
}

func (n *Node) planRoute(ctx context.Context, role swap.Role, r migrate.Route) (swap.RoleState, swap.Plan, error) {
	s, err := n.roleState(ctx, role, r, "")
	if err != nil {
		return s, swap.Plan{}, err
	}
	plan, err := n.swap.PlanDrive(role, s)
	return s, plan, err
}

// horizons says what the engines' forks mean for a route: an engine that is left behind for the last time, and one that
// cannot execute the chain any more. An engine is admitted again only if its horizon is further away than the margin.
func (n *Node) horizons(ctx context.Context, r migrate.Route) (noReturn, forbidden string) {
	last := uint64(time.Now().Add(horizonMargin).Unix())
	applied, _, _ := n.swap.AppliedRole(roleEngine)
	stays := []string{r.Primary, r.Fallback, r.Shadow, r.Canary}
	for _, p := range n.live.all(lifecycle.Engine) {
		c, err := p.client()
		if err != nil {
			continue
		}
		s, err := c.Engine().Status(ctx)
		if err != nil || s.Horizon == nil || *s.Horizon >= last {
			continue
		}
		at := time.Unix(int64(*s.Horizon), 0).UTC().Format(time.RFC3339)
		switch {
		case slices.Contains(stays, p.id.Label):
			forbidden = fmt.Sprintf("%s cannot execute blocks from %s on", p.id, at)
		case p.id == applied.Route.Primary:
			noReturn = fmt.Sprintf("%s cannot execute blocks from %s on, and is not admitted again in the %s before", p.id, at, horizonMargin)
		}
	}
	return noReturn, forbidden
}

// Apply implements migrate.Roles.
func (n steward) Apply(ctx context.Context, role string, r migrate.Route, o migrate.ApplyOptions) error {
	s, err := n.roleState(ctx, swap.Role(role), r, o.Step)
	if err != nil {
		return err
	}
	report, err := n.swap.Drive(ctx, swap.Role(role), s, o.By+", step "+o.Step, swap.ApplyOptions{By: o.By, Retry: true, Unwatched: o.Rollback})
	if errors.Is(err, swap.ErrApplyInProgress) {
		return fmt.Errorf("%w: %w", migrate.ErrBusy, err)
	}
	n.reported(report, err)
	return err
}

// roleState finds the blocks of a route: what runs stays as it runs, and what is new is read from the file.
func (n *Node) roleState(ctx context.Context, role swap.Role, r migrate.Route, step string) (swap.RoleState, error) {
	applied, _, ok := n.swap.AppliedRole(role)
	if !ok {
		return swap.RoleState{}, fmt.Errorf("role %s: %w", role, swap.ErrUnknownRole)
	}
	out := swap.RoleState{Route: routeFrom(role.Kind(), r, step), Plugins: map[swap.PluginID]swap.Block{}}
	file := n.blocks.file()
	for _, name := range []string{r.Primary, r.Fallback, r.Shadow, r.Canary} {
		id := swap.PluginID{Kind: role.Kind(), Label: name}
		if name == "" {
			continue
		}
		if b, ok := applied.Plugins[id]; ok {
			out.Plugins[id] = b
			continue
		}
		p, ok := file.Plugin(config.PluginID{Kind: id.Kind, Name: id.Label})
		if !ok {
			return swap.RoleState{}, fmt.Errorf("%s has no block in %s", id, file.Path)
		}
		one, diags := resolve(ctx, n.host, file, p)
		if err := diags.Err(); err != nil {
			return swap.RoleState{}, err
		}
		n.blocks.remember(one.block.Hash, one.host)
		out.Plugins[id] = one.block
	}
	return out, nil
}

// fileRoute is what the configuration that was read last says of a role.
func (n *Node) fileRoute(role string) migrate.Route {
	for _, r := range n.blocks.file().Roles {
		if string(roleOf(r.ID)) == role {
			return labels(routeOf(r.Route))
		}
	}
	return migrate.Route{}
}

// heed tells migrations what a file says before it is applied: it may end what a finished run holds.
func (n *Node) heed(ctx context.Context, c *config.Config) error {
	for _, r := range c.Roles {
		if err := n.migrations.FileSays(ctx, string(roleOf(r.ID)), labels(routeOf(r.Route))); err != nil {
			return err
		}
	}
	return nil
}

// steered is a desired state as migrations let it be: in a role that a run drives, or whose final route it holds, that
// route stands instead of the file's. An edit of such a role, or of a plugin that the run uses, is a finding.
func (n *Node) steered(ctx context.Context, c *config.Config, d swap.Desired) (swap.Desired, config.Diagnostics, error) {
	var findings []config.Finding
	for role, file := range d.Roles {
		held, base, ok := n.migrations.Override(string(role))
		applied, _, runs := n.swap.AppliedRole(role)
		if !ok || !runs { // without a journal there is nothing that a migration could hold
			continue
		}
		owner, owned := n.migrations.Owner(string(role))
		if labels(file) != base {
			if owned {
				findings = append(findings, config.Finding{
					Severity: diag.Error, Code: config.CodeMigrating, At: "role." + dotted(role), Summary: drivenText(role, owner),
					Detail: fmt.Sprintf("Leave the role as it was (%s), or end the run first: `alys migrate abort %s` keeps the route that is applied, `alys migrate rollback %s` goes back.",
						base, owner.Name, owner.Name),
				})
			}
			continue
		}
		s, err := n.roleState(ctx, role, held, "")
		if err != nil {
			return d, nil, fmt.Errorf("the route that a migration holds for role %s: %w", role, err)
		}
		s.Route.Step = applied.Route.Step
		if owned {
			findings = append(findings, editsOf(d, applied, role, owner)...)
		}
		d.Roles[role] = s.Route
		maps.Copy(d.Plugins, s.Plugins)
	}
	return d, c.Diagnose(findings...), nil
}

// editsOf finds plugins of a run whose blocks or binaries are others than those that run.
func editsOf(d swap.Desired, applied swap.RoleState, role swap.Role, o migrate.Ownership) []config.Finding {
	var out []config.Finding
	for _, label := range o.Plugins {
		id := swap.PluginID{Kind: role.Kind(), Label: label}
		now, runs := applied.Plugins[id]
		file, there := d.Plugins[id]
		if runs && there && (now.Hash != file.Hash || now.Digest != file.Digest) {
			out = append(out, config.Finding{
				Severity: diag.Error, Code: config.CodeMigrating, At: id.String(), Summary: fmt.Sprintf("%s is used by a migration: %s", id, drivenText(role, o)),
				Detail: fmt.Sprintf("Leave its block and its program as they were, or end the run first: `alys migrate abort %s` or `rollback`.", o.Name),
			})
		}
	}
	return out
}

func drivenText(role swap.Role, o migrate.Ownership) string {
	return fmt.Sprintf("role %s is driven by migration %s, step %d (%s)", dotted(role), o.Name, o.Index+1, o.Step)
}

// dotted is a role as alys.hcl and commands name it.
func dotted(r swap.Role) string { return strings.ReplaceAll(string(r), "/", ".") }

// broke tells the migrations of the roles that use a plugin that its breaker is open.
func (n *Node) broke(id swap.PluginID, reason error) {
	text := "it crashes again and again"
	if reason != nil {
		text = reason.Error()
	}
	for _, s := range n.swap.Status().Roles {
		for _, g := range s.Generations {
			if g.Plugin == id {
				n.migrations.Notice(migrate.Event{At: time.Now(), Role: string(s.Role), Plugin: id.Label, Kind: migrate.EventBroken, Reason: text})
				break
			}
		}
	}
}

// flippedBack tells the migrations of a report's roles that its probation went back.
func (n *Node) flippedBack(r swap.Report) {
	for _, role := range r.Roles {
		n.migrations.Notice(migrate.Event{At: time.Now(), Role: string(role), Kind: migrate.EventFlippedBack, Reason: r.Problem})
	}
}

// migrationWatch tells people and metrics. It implements migrate.Observer.
type migrationWatch struct{ *watch }

// Changed implements migrate.Observer.
func (w migrationWatch) Changed(c migrate.Change) {
	w.log.Info("migration", "name", c.Name, "run", c.Run, "role", c.Role, "from", c.From, "to", c.To, "step", c.Step, "reason", c.Reason)
	text := fmt.Sprintf("migration %s: %s", c.Name, strings.ReplaceAll(string(c.To), "_", " "))
	if c.Step != "" {
		text += ", step " + c.Step
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	w.say(text)
	w.metrics.MigrationChanges.WithLabelValues(c.Name, string(c.To)).Inc()
}

// Judged implements migrate.Observer.
func (w migrationWatch) Judged(j migrate.Judgement) {
	for _, g := range j.Gates {
		w.metrics.MigrationGates.WithLabelValues(j.Name, g.Gate, string(g.Answer)).Inc()
	}
}

// Alarm implements migrate.Observer.
func (w migrationWatch) Alarm(a migrate.Alarm) {
	w.log.Error("ALARM: a migration needs a human", "name", a.Name, "run", a.Run, "role", a.Role, "reason", a.Reason)
	w.say("ALARM migration " + a.Name + ": " + a.Reason)
}
