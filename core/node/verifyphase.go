package node

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/route"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Outcomes of a checkpoint.
const (
	checkPass        = "pass"
	checkFail        = "fail"
	checkNotMeasured = "not_measured"
)

// checkpoint is one line of what a phase of the migration plan has to have reached.
type checkpoint struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Text    string `json:"text"`
}

func check(name string, ok bool, format string, args ...any) checkpoint {
	c := checkpoint{Name: name, Outcome: checkPass, Text: fmt.Sprintf(format, args...)}
	if !ok {
		c.Outcome = checkFail
	}
	return c
}

func notMeasured(name, format string, args ...any) checkpoint {
	return checkpoint{name, checkNotMeasured, fmt.Sprintf(format, args...)}
}

// phases are the checkpoints of each phase of the plan, in its order.
func (n *Node) phases() map[string]func(context.Context) []checkpoint {
	return map[string]func(context.Context) []checkpoint{
		"foundation": n.checkFoundation, "host": n.checkHost, "sync": n.checkSync, "engine": n.checkEngine, "governance": n.checkGovernance,
	}
}

// Phases lists the phases that `alys migrate verify` knows, in the plan's order.
func Phases() []string { return []string{"foundation", "host", "sync", "engine", "governance"} }

// verifyPhase checks one phase now; nothing of it is remembered.
func (n *Node) verifyPhase(ctx context.Context, phase string) (admin.MigrationResponse, error) {
	checks, ok := n.phases()[phase]
	if !ok {
		return admin.MigrationResponse{}, &admin.Error{
			Code: "invalid", Message: fmt.Sprintf("there is no phase %q", phase), Hint: "phases are " + strings.Join(Phases(), ", "),
		}
	}
	found := checks(ctx)
	var b strings.Builder
	bad := false
	for _, c := range found {
		fmt.Fprintf(&b, "%-12s  %s: %s\n", strings.ReplaceAll(c.Outcome, "_", " "), c.Name, c.Text)
		bad = bad || c.Outcome == checkFail
	}
	return answer(b.String(), found, bad)
}

func (n *Node) checkFoundation(ctx context.Context) []checkpoint {
	ready := n.readiness()
	out := []checkpoint{check("node", ready.Ready, "ready%s", reasons(ready.Reasons))}
	_, err := n.guard.Show(ctx)
	out = append(out, check("guard", err == nil, "what was signed can be read%s", because(err)))
	_, diags := n.opt.Load("", nil, nil)
	out = append(out, check("alys.hcl", !diags.HasErrors(), "it has no errors%s", because(diags.Err())))
	path := filepath.Join(n.opt.Config.Node.DataDir, MigrationsLog)
	v, err := migrate.Verify(path)
	out = append(out, check("audit log", err == nil, "%d records, chained%s", v.Records, because(err)))
	out = append(out, check("metrics", n.server != nil, "Prometheus can read them"))
	return append(out, notMeasured("traces", "this version exports none"))
}

func (n *Node) checkHost(context.Context) []checkpoint {
	s := n.swap.Status()
	out := []checkpoint{
		check("drift", len(s.Drift) == 0, "what runs is what alys.hcl wants%s", reasons(s.Drift)),
		check("probation", s.Probation == nil, "no change is being watched"),
	}
	for _, r := range s.Roles {
		ok := r.Trouble == "" && len(r.Generations) > 0 && r.State != string(route.Broken)
		out = append(out, check("role "+dotted(r.Role), ok, "%s, %s%s", labels(r.Route), r.State, reasons(nonEmpty(r.Trouble))))
	}
	for _, p := range n.tree.status() {
		if p.Group == admin.GroupServices {
			out = append(out, check("service "+p.Name, p.State == partRunning, "%s, %d restarts", p.State, p.Restarts))
		}
	}
	unpinned := 0
	for _, p := range n.blocks.file().Plugins {
		if len(p.Checksum) == 0 {
			unpinned++
		}
	}
	if n.spec.Dev {
		return append(out, notMeasured("checksums", "a dev chain needs none; %d plugins have none", unpinned))
	}
	return append(out, check("checksums", unpinned == 0, "%d plugins without one", unpinned))
}

func (n *Node) checkSync(context.Context) []checkpoint {
	p := n.follower.Progress()
	behind := uint64(0)
	if p.Target > p.Cursor {
		behind = uint64(p.Target - p.Cursor)
	}
	out := []checkpoint{
		check("caught up", p.Stage == follow.StageSynced || behind <= 10, "%s, %d blocks behind", p.Stage, behind),
		n.checkGoal(roleSync),
	}
	if n.network == nil {
		return append(out, notMeasured("peers", "this node has no network"))
	}
	peers := len(n.network.Peers())
	head, _, _ := n.chain.Heads()
	if peers == 0 && len(n.spec.Set(head.Height+1).Keys) == 1 {
		return append(out, notMeasured("peers", "none, and the chain has one authority"))
	}
	return append(out, check("peers", peers > 0, "%d on our chain", peers))
}

func (n *Node) checkEngine(ctx context.Context) []checkpoint {
	head, _, _ := n.chain.Heads()
	b, err := n.chain.BlockAt(head.Height)
	if err != nil {
		return []checkpoint{check("chain", false, "block %d cannot be read: %v", head.Height, err)}
	}
	out := []checkpoint{n.checkGoal(roleEngine)}
	for _, p := range n.live.all(lifecycle.Engine) {
		name := "engine " + p.id.Label
		var s engine.Status
		c, err := p.client()
		if err == nil {
			s, err = c.Engine().Status(ctx)
		}
		if err != nil {
			out = append(out, check(name, false, "it does not answer: %v", err))
			continue
		}
		level := s.Heads.Head.Hash == b.Execution.Payload.BlockHash || s.Heads.Head.Height+1 >= head.Height
		out = append(out, check(name, level, "head %d, ours %d", s.Heads.Head.Height, head.Height))
		if s.Horizon != nil {
			at := time.Unix(int64(*s.Horizon), 0)
			out = append(out, check(name+" horizon", time.Until(at) > horizonMargin, "it executes the chain until %s", at.UTC().Format(time.RFC3339)))
		}
	}
	disputes := 0
	for _, c := range n.routes.engine.Comparisons() {
		if c.Verdict == route.Disagree {
			disputes++
		}
	}
	if len(n.routes.engine.Comparisons()) == 0 {
		return append(out, notMeasured("agreement", "only one engine is asked"))
	}
	return append(out, check("agreement", disputes == 0, "%d disagreements in the last %d comparisons", disputes, len(n.routes.engine.Comparisons())))
}

func (n *Node) checkGovernance(context.Context) []checkpoint {
	return []checkpoint{n.checkGoal(roleSigner), notMeasured("governance service", "this version has no plugin that speaks to one")}
}

// checkGoal says how far the last migration of a role came.
func (n *Node) checkGoal(role swap.Role) checkpoint {
	name := "migration of " + dotted(role)
	all := n.migrations.Status()
	slices.Reverse(all)
	i := slices.IndexFunc(all, func(s migrate.Status) bool { return s.Role == string(role) })
	if i < 0 {
		return notMeasured(name, "none has run")
	}
	s := all[i]
	text := fmt.Sprintf("%s is %s, step %d of %d", s.Name, strings.ReplaceAll(string(s.State), "_", " "), s.Step+1, s.Steps)
	if !s.State.Ended() {
		return notMeasured(name, "%s", text)
	}
	return check(name, s.State == migrate.StateFinished, "%s", text)
}

// reasons appends what is wrong, or nothing.
func reasons(rs []string) string {
	if len(rs) == 0 {
		return ""
	}
	return ": " + strings.Join(rs, "; ")
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
