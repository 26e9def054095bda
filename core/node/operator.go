package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
)

// Status implements admin.Node.
func (n *Node) Status(context.Context) (admin.Status, error) {
	head, safe, finalized := n.chain.Heads()
	ready := n.readiness()
	sw := n.swap.Status()
	s := admin.Status{
		Name: n.opt.Config.Node.Name, Version: n.opt.Version, Chain: n.spec.Name, ChainID: n.spec.ChainID, Genesis: n.genesis,
		Slot: n.spec.SlotAt(chain.UnixMilli(time.Now().UnixMilli())), Head: head, Safe: safe, Finalized: finalized,
		Ready: ready.Ready, Reasons: ready.Reasons, Serial: sw.Serial, Hash: sw.Hash, Drift: len(sw.Drift) > 0,
		Roles: map[string]admin.RoleStatus{}, Listeners: n.listeners(), Keys: n.keys(), StartedAt: n.started,
		MissedOwn: n.watch.missed.Load(), Authored: n.watch.authored.Load(), Services: n.tree.status(),
	}
	s.Sync = syncStatus(n.follower.Progress())
	if n.network != nil {
		s.PeerID = n.network.ID()
		for _, p := range n.network.Peers() {
			s.Peers = append(s.Peers, admin.PeerStatus{
				ID: string(p.ID), Address: p.Address, Inbound: p.Inbound, Static: p.Static, Head: p.Status.Head.Header.Height,
				Client: p.Status.Client, RTTMillis: p.RTT.Milliseconds(), Since: p.Since,
			})
		}
	}
	for _, r := range sw.Rejected {
		s.Rejected = append(s.Rejected, admin.Rejection{Hash: r.Hash, Reason: r.Reason})
	}
	for _, r := range sw.Roles {
		s.Roles[string(r.Role)] = n.roleStatus(r, sw)
	}
	return s, nil
}

func syncStatus(p follow.Progress) admin.SyncStatus {
	return admin.SyncStatus{
		Stage: string(p.Stage), Reason: p.Reason, Cursor: p.Cursor, Target: p.Target, Downloading: p.Downloading,
		BufferedBytes: p.BufferedBytes, BlocksPerSecond: p.PerSecond, SecondsLeft: p.Left().Seconds(),
	}
}

func (n *Node) roleStatus(r swap.RoleStatus, s swap.Status) admin.RoleStatus {
	out := admin.RoleStatus{Route: routeStatus(r.Route), States: []string{r.State}}
	if s.Probation != nil && slices.Contains(s.Probation.Roles, r.Role) && r.State != stateProbation {
		out.States = append(out.States, stateProbation)
	}
	for _, g := range r.Generations {
		out.Generations = append(out.Generations, n.generationStatus(r.Role, g))
	}
	if l := s.LastSwap; l != nil && slices.Contains(l.Roles, r.Role) {
		out.LastSwap = swapStatus(*l)
	}
	return out
}

const stateProbation = "probation"

func routeStatus(r swap.Route) admin.RouteStatus {
	l := labels(r)
	return admin.RouteStatus{Primary: l.Primary, Fallback: l.Fallback, Shadow: l.Shadow, Canary: l.Canary, CanaryPercent: int(l.Percent)}
}

func (n *Node) generationStatus(role swap.Role, g swap.GenerationStatus) admin.GenerationStatus {
	out := admin.GenerationStatus{
		Plugin: g.Plugin.Label, Generation: uint64(g.Generation), Digest: g.Digest, Uptime: time.Since(g.Since), State: "ended",
	}
	for _, p := range g.Positions[role] {
		out.Positions = append(out.Positions, string(p))
	}
	for _, p := range n.live.all(g.Plugin.Kind) {
		if p.id != g.Plugin || p.generation != g.Generation || p.instance == nil {
			continue
		}
		s := p.instance.State()
		out.State, out.Message, out.Restarts = string(s.Phase), s.Health.Message, s.Restarts
		if s.Reason != nil && out.Message == "" && s.Phase != "ready" {
			out.Message = s.Reason.Error()
		}
		if current, err := p.instance.Current(); err == nil {
			stats := current.Stats()
			out.PID, out.Version, out.MemoryBytes, out.Uptime = current.PID, current.Description.Version, stats.RSS, stats.Uptime
			out.Generation = current.Number // of the process, as the host logs it: a crash made it a later one than swap started
		}
	}
	return out
}

func swapStatus(r swap.Report) *admin.SwapStatus {
	out := &admin.SwapStatus{Outcome: string(r.Result), Reason: r.Problem, At: r.At}
	for _, s := range r.Steps {
		out.Duration += s.Took.Seconds()
		out.Steps = append(out.Steps, admin.SwapStep{Step: string(s.Step), Seconds: s.Took.Seconds()})
	}
	return out
}

func (n *Node) listeners() map[string]string {
	out := map[string]string{"admin": n.opt.Config.Node.AdminSocket}
	if n.wallet != nil {
		out["wallet"] = n.wallet.Addr().String()
	}
	if n.network != nil {
		if addrs := n.network.Addresses(); len(addrs) > 0 {
			out["p2p"] = addrs[0]
		}
	}
	if n.server != nil {
		out["metrics"] = n.server.Addr().String()
	}
	return out
}

// read loads the configuration that an operator means.
func (n *Node) read(ctx context.Context, s admin.Source) (*config.Config, swap.Desired, config.Diagnostics) {
	c, diags := n.opt.Load(s.Path, s.Vars, s.VarFiles)
	if diags.HasErrors() {
		return nil, swap.Desired{}, diags
	}
	if c.Node.DataDir != n.opt.Config.Node.DataDir {
		return nil, swap.Desired{}, append(diags, c.Diagnose(config.Finding{
			Severity: diag.Error, Code: config.CodeInvalidValue, At: "node.data_dir", Summary: "This is the configuration of another node",
			Detail: fmt.Sprintf("The node that was asked has its data in %s.", n.opt.Config.Node.DataDir),
		})...)
	}
	d, more, err := n.desired(ctx, c)
	diags = append(diags, more...)
	if err != nil {
		diags = append(diags, c.Diagnose(config.Finding{Severity: diag.Error, Code: config.CodeInvalidValue, Summary: err.Error()})...)
	}
	return c, d, diags
}

// Plan implements admin.Node.
func (n *Node) Plan(ctx context.Context, s admin.Source) (admin.PlanResponse, error) {
	c, d, diags := n.read(ctx, s)
	var text bytes.Buffer
	if err := config.WriteDiagnostics(&text, diags, false, terminalWidth); err != nil {
		return admin.PlanResponse{}, fmt.Errorf("render findings: %w", err)
	}
	raw, err := json.Marshal(diags)
	if err != nil {
		return admin.PlanResponse{}, fmt.Errorf("encode findings: %w", err)
	}
	out := admin.PlanResponse{Diagnostics: raw, Rendered: text.String()}
	if diags.HasErrors() {
		out.Invalid = true
		return out, nil
	}
	p, err := n.swap.Plan(ctx, d)
	if err != nil {
		return out, operatorError(err)
	}
	out.Restart = n.restartOnly(c)
	out.Serial, out.Hash, out.NoOp, out.Gap = p.Serial, p.Hash, p.NoOp(), len(p.Gaps) > 0
	out.Text = p.String()
	for _, line := range out.Restart {
		out.Text += "! " + line + ": takes effect at the next start only\n"
	}
	if out.Plan, err = json.Marshal(p); err != nil {
		return out, fmt.Errorf("encode plan: %w", err)
	}
	return out, nil
}

const terminalWidth = 100

// restartOnly names the blocks that differ from those that the node was started with and that it reads only then.
func (n *Node) restartOnly(c *config.Config) []string {
	var old, now map[string]json.RawMessage
	if json.Unmarshal(n.opt.Config.Redacted, &old) != nil || json.Unmarshal(c.Redacted, &now) != nil {
		return nil
	}
	var out []string
	names := map[string]bool{}
	for name := range old {
		names[name] = true
	}
	for name := range now {
		names[name] = true
	}
	for name := range names {
		live := strings.HasPrefix(name, "plugin.") || strings.HasPrefix(name, "role.") || strings.HasPrefix(name, "role ") || strings.HasPrefix(name, "plugin ")
		if !live && !bytes.Equal(old[name], now[name]) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Apply implements admin.Node.
func (n *Node) Apply(ctx context.Context, r admin.ApplyRequest, progress func(admin.Progress)) (string, error) {
	c, d, diags := n.read(ctx, r.Source)
	if err := diags.Err(); err != nil {
		return "", &admin.Error{Code: "invalid", Message: err.Error(), Hint: "run `alys plan`"}
	}
	p, err := n.swap.Plan(ctx, d)
	if err != nil {
		return "", operatorError(err)
	}
	if p.Serial != r.Serial || p.Hash != r.Hash {
		return "", operatorError(fmt.Errorf("%w: something was applied, or the file or a binary changed, since it was made", swap.ErrStalePlan))
	}
	if err := n.heed(ctx, c); err != nil {
		return "", err
	}
	// The apply outlives a terminal that goes away: it is the node's from here on.
	report, err := n.swap.Apply(context.WithoutCancel(ctx), p, d, swap.ApplyOptions{
		AllowGap: r.AllowGap, Retry: r.Retry, By: r.By, Progress: func(roles []swap.Role, s swap.StepReport) { progress(stepDone(roles, s)) },
	})
	n.reported(report, err)
	if err != nil {
		return "", operatorError(err)
	}
	n.blocks.use(c)
	return outcomeText(report), nil
}

// Rollback implements admin.Node.
func (n *Node) Rollback(ctx context.Context, r admin.RollbackRequest, progress func(admin.Progress)) (string, error) {
	role := swap.Role(strings.ReplaceAll(r.Role, ".", "/"))
	if o, owned := n.migrations.Owner(string(role)); owned {
		return "", &admin.Error{Code: "conflict", Message: drivenText(role, o), Hint: fmt.Sprintf("`alys migrate rollback %s` goes back to where it began", o.Name)}
	}
	report, err := n.swap.Rollback(context.WithoutCancel(ctx), role, r.By)
	n.reported(report, err)
	if err == nil { // what a migration left does not hold against an operator's word
		if err := n.migrations.Release(ctx, string(role), r.By); err != nil && !errors.Is(err, migrate.ErrNothingToDo) {
			n.log.Error("migration", "role", role, "error", err)
		}
	}
	for _, s := range report.Steps {
		progress(stepDone(report.Roles, s))
	}
	if err != nil {
		return "", operatorError(err)
	}
	return outcomeText(report), nil
}

func stepDone(roles []swap.Role, s swap.StepReport) admin.Progress {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return admin.Progress{Role: strings.Join(names, ","), Step: string(s.Step), Seconds: s.Took.Seconds()}
}

func outcomeText(r swap.Report) string {
	switch r.Result {
	case swap.ResultNoOp:
		return "Nothing to do: what runs is what is wanted."
	case swap.ResultProbation:
		return fmt.Sprintf("Applied as serial %d. The new plugins are on probation, and the node goes back by itself if they fail: watch `alys status`.", r.Serial)
	case swap.ResultFlippedBack:
		return fmt.Sprintf("Went back (serial %d): %s", r.Serial, r.Problem)
	case swap.ResultDone, swap.ResultFailed:
	}
	if r.Problem != "" {
		return fmt.Sprintf("Applied as serial %d. After that something went wrong: %s", r.Serial, r.Problem)
	}
	return fmt.Sprintf("Applied as serial %d.", r.Serial)
}

// operatorError gives an error of swap its code and what to do next.
func operatorError(err error) error {
	for _, known := range []struct {
		is         error
		code, hint string
	}{
		{swap.ErrStalePlan, "conflict", "make a new plan with `alys plan`"},
		{swap.ErrApplyInProgress, "conflict", "wait for it; `alys status` shows how it goes"},
		{swap.ErrRejected, "refused", "change alys.hcl, or say `alys apply --retry`"},
		{swap.ErrGap, "refused", "read the plan, then say --allow-gap"},
		{swap.ErrNothingToRollBack, "refused", "`alys status` shows the route that runs"},
		{swap.ErrUnknownRole, "unknown", "roles are signer, engine and sync, and signer.approval and signer.bitcoin where alys.hcl narrows them"},
	} {
		if errors.Is(err, known.is) {
			return &admin.Error{Code: known.code, Message: err.Error(), Hint: known.hint}
		}
	}
	if _, ok := errors.AsType[*swap.StepError](err); ok {
		return &admin.Error{Code: "internal", Message: err.Error(), Hint: "the old route serves; `alys status` shows it"}
	}
	return err
}

// GuardExport implements admin.Node.
func (n *Node) GuardExport(ctx context.Context) (json.RawMessage, error) { return n.guard.Export(ctx) }

// GuardImport implements admin.Node.
func (n *Node) GuardImport(ctx context.Context, raw json.RawMessage) (admin.GuardImportResponse, error) {
	return importGuard(ctx, n.guard, raw)
}

func importGuard(ctx context.Context, g *guard.Guard, raw json.RawMessage) (admin.GuardImportResponse, error) {
	r, err := g.Import(ctx, raw)
	if errors.Is(err, guard.ErrNotAnExport) {
		return admin.GuardImportResponse{}, &admin.Error{Code: "invalid", Message: err.Error(), Hint: "write one with `alys guard export` on a node of this chain"}
	}
	return admin.GuardImportResponse{Keys: len(r.Raised) + len(r.Known), Raised: len(r.Raised)}, err
}
