package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alys-node/alys/core/admin"
)

// branch is one line of a tree and what hangs on it.
type branch struct {
	text     string
	children []branch
}

// printTree draws the supervision tree.
func printTree(w io.Writer, s admin.Status) error {
	root := branch{
		text: fmt.Sprintf("%s (%s), up %s", s.Name, s.Version, time.Since(s.StartedAt).Round(time.Second)),
		children: []branch{
			{"core: the first error stops the node", services(s, admin.GroupCore)},
			{"services: each is started again, alone", services(s, admin.GroupServices)},
			{"plugins: started again with backoff; a crash loop opens a breaker and the fallback answers", plugins(s)},
		},
	}
	var b strings.Builder
	root.draw(&b, "", "")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print tree: %w", err)
	}
	return nil
}

func (t branch) draw(b *strings.Builder, first, rest string) {
	_, _ = fmt.Fprintln(b, first+t.text)
	for i, c := range t.children {
		if i < len(t.children)-1 {
			c.draw(b, rest+"├─ ", rest+"│  ")
		} else {
			c.draw(b, rest+"└─ ", rest+"   ")
		}
	}
}

func services(s admin.Status, group string) []branch {
	var out []branch
	for _, p := range s.Services {
		if p.Group != group {
			continue
		}
		text := fmt.Sprintf("%-14s %s for %s", p.Name, p.State, time.Since(p.Since).Round(time.Second))
		if p.Restarts > 0 || p.Panics > 0 {
			text += fmt.Sprintf(", %s, %s", count(p.Restarts, "restart"), count(p.Panics, "panic"))
		}
		out = append(out, branch{text: text + note(p.LastError)})
	}
	return out
}

func plugins(s admin.Status) []branch {
	var out []branch
	for _, name := range sortedKeys(s.Roles) {
		r := s.Roles[name]
		role := branch{text: fmt.Sprintf("role %s  [%s]", name, strings.Join(r.States, ", "))}
		for _, g := range r.Generations {
			role.children = append(role.children, branch{text: fmt.Sprintf("%s#%d  %s  %s for %s, pid %d, %s%s", g.Plugin, g.Generation,
				strings.Join(g.Positions, "+"), g.State, g.Uptime.Round(time.Second), g.PID, count(g.Restarts, "restart"), note(g.Message))})
		}
		out = append(out, role)
	}
	return out
}
