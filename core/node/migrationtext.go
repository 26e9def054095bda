package node

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alys-node/alys/core/migrate"
)

// statusText is one run in a few lines.
func statusText(s migrate.Status) string {
	var b strings.Builder
	state := strings.ReplaceAll(string(s.State), "_", " ")
	fmt.Fprintf(&b, "migration %s  role %s, %s -> %s: %s", s.Name, s.Role, s.From, s.To, state)
	if s.Reason != "" {
		fmt.Fprintf(&b, " (%s)", s.Reason)
	}
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "  step\t%d of %d, %s: %s\n", s.Step+1, s.Steps, s.StepName, s.Route)
	if !s.State.Ended() {
		_, _ = fmt.Fprintf(t, "  soaked\t%s of %s\n", s.Soaked.Round(time.Second), s.Soak)
		_, _ = fmt.Fprintf(t, "  samples\t%d, at least %d\n", s.Samples, s.MinSamples)
	}
	_, _ = fmt.Fprintf(t, "  rollback to\t%s\n", s.Base)
	if s.Attempts > 0 {
		_, _ = fmt.Fprintf(t, "  failed tries\t%d\n", s.Attempts)
	}
	_, _ = fmt.Fprintf(t, "  run\t%s, started %s by %s\n", s.Run, s.StartedAt.Format(time.RFC3339), s.StartedBy)
	_ = t.Flush()
	return b.String()
}

// explainText says gate by gate why a run is where it is.
func explainText(e migrate.Explanation) string {
	var b strings.Builder
	b.WriteString(statusText(e.Status))
	for _, g := range e.Gates {
		fmt.Fprintf(&b, "  gate %s (%s): %s: %s\n", g.Gate, g.Metric, strings.ReplaceAll(string(g.Answer), "_", " "), g.Text)
	}
	for _, w := range e.Waits {
		fmt.Fprintf(&b, "  waits: %s\n", w)
	}
	return b.String()
}

// historyText is one line a record.
func historyText(rs []migrate.Record) string {
	if len(rs) == 0 {
		return "No migration has run on this node.\n"
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, r := range rs {
		what := strings.ReplaceAll(string(r.Kind), "_", " ")
		var detail []string
		for _, d := range []string{r.Reason, r.Backup} {
			if d != "" {
				detail = append(detail, d)
			}
		}
		if r.Route != nil {
			detail = append(detail, r.Route.String())
		}
		if r.By != "" {
			detail = append(detail, "by "+r.By)
		}
		for _, g := range r.Gates {
			detail = append(detail, fmt.Sprintf("%s %s: %s", g.Gate, strings.ReplaceAll(string(g.Answer), "_", " "), g.Text))
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.At.Format(time.RFC3339), r.Name, r.StepName, what, strings.Join(detail, "; "))
	}
	_ = t.Flush()
	return b.String()
}
