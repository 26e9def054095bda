package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/chain"
)

// screen is the live view of a node: a bubbletea model.
type screen struct {
	look   func() sight
	paint  paint
	last   sight // the last answer
	away   error // why the node does not answer now; nil when it does
	since  time.Time
	now    time.Time
	width  int
	height int
}

// paint are the styles; the zero value draws plain text.
type paint struct{ title, good, bad, wait, faint lipgloss.Style }

func colours() paint {
	of := func(c string) lipgloss.Style { return lipgloss.NewStyle().Foreground(lipgloss.Color(c)) }
	return paint{title: lipgloss.NewStyle().Bold(true), good: of("2"), bad: of("1"), wait: of("3"), faint: lipgloss.NewStyle().Faint(true)}
}

// again is that it is time for another look.
type again struct{}

// Init implements tea.Model.
func (m screen) Init() tea.Cmd { return m.pause() }

func (m screen) pause() tea.Cmd {
	return tea.Tick(lookEvery, func(time.Time) tea.Msg { return again{} })
}

// Update implements tea.Model.
func (m screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		}
	case again:
		return m, func() tea.Msg { return m.look() }
	case sight:
		m.see(msg)
		return m, m.pause()
	}
	return m, nil
}

// see takes a look's outcome. What a node that is away showed last stays.
func (m *screen) see(s sight) {
	m.now = s.at
	if s.err == nil {
		m.last, m.away = s, nil
		return
	}
	if m.away == nil {
		m.since = s.at
	}
	m.away = s.err
}

// View implements tea.Model.
func (m screen) View() tea.View {
	v := tea.NewView(m.text())
	v.AltScreen, v.WindowTitle = true, "alys watch "+m.last.status.Name
	return v
}

// rows the view has when the terminal does not say; and how many slots are listed in any case.
const (
	defaultHeight = 40
	fewestSlots   = 4
)

func (m screen) text() string {
	height := m.height
	if height == 0 {
		height = defaultHeight
	}
	top := slices.Concat(m.heading(), m.heads(), m.peers(), m.roles(), m.authorities(), m.strip())
	foot := m.paint.faint.Render("q quits")
	room := max(height-len(top)-2, fewestSlots)
	return strings.Join(slices.Concat(top, m.slots(room), []string{foot}), "\n")
}

func (m screen) heading() []string {
	s := m.last.status
	lines := []string{m.paint.title.Render(s.Name) + fmt.Sprintf(" (%s) on %s, id %d, up %s", s.Version, s.Chain, s.ChainID, m.last.at.Sub(s.StartedAt).Round(time.Second))}
	switch {
	case m.away != nil:
		lines = append(lines, m.paint.bad.Render(fmt.Sprintf("node does not answer, trying again: %s (for %s; below is what it said last)",
			awayText(m.away), m.now.Sub(m.since).Round(time.Second))))
	case !s.Ready:
		lines = append(lines, m.paint.wait.Render("not ready: "+strings.Join(s.Reasons, "; ")))
	default:
		lines = append(lines, m.paint.good.Render("ready"))
	}
	return append(lines, "")
}

func (m screen) heads() []string {
	s := m.last.status
	ref := func(r chain.Ref) string {
		return m.paint.title.Render(fmt.Sprint(r.Height)) + " " + m.paint.faint.Render(r.Hash.Short())
	}
	return []string{
		fmt.Sprintf("head       %s   safe %s   finalized %s   slot %d", ref(s.Head), ref(s.Safe), ref(s.Finalized), s.Slot),
		"sync       " + m.sync(),
	}
}

const barWidth = 30

func (m screen) sync() string {
	s := m.last.status.Sync
	if s.Cursor >= s.Target {
		return m.paint.good.Render("in sync")
	}
	share := float64(s.Cursor) / float64(s.Target)
	full := int(share * barWidth)
	bar := m.paint.wait.Render(strings.Repeat("█", full)) + m.paint.faint.Render(strings.Repeat("░", barWidth-full))
	return fmt.Sprintf("%s %.1f %%  %s", bar, 100*share, syncText(s))
}

// mostPeers bounds the peers that are listed.
const mostPeers = 4

func (m screen) peers() []string {
	peers := m.last.status.Peers
	lines := []string{fmt.Sprintf("peers      %d", len(peers))}
	for _, p := range peers[:min(len(peers), mostPeers)] {
		id := p.ID[max(0, len(p.ID)-8):]
		lines = append(lines, fmt.Sprintf("  …%-8s said head %-8d %4d ms  %s", id, p.Head, p.RTTMillis, p.Client))
	}
	if more := len(peers) - mostPeers; more > 0 {
		lines = append(lines, m.paint.faint.Render(fmt.Sprintf("  and %d more", more)))
	}
	return lines
}

func (m screen) roles() []string {
	var lines []string
	for _, name := range sortedKeys(m.last.status.Roles) {
		r := m.last.status.Roles[name]
		parts := []string{fmt.Sprintf("%-10s %s  [%s]", name, routeText(r.Route), strings.Join(r.States, ", "))}
		for _, g := range r.Generations {
			state := m.paint.good
			if g.State != "ready" {
				state = m.paint.bad
			}
			parts = append(parts, fmt.Sprintf("%s#%d %s", g.Plugin, g.Generation, state.Render(g.State)))
		}
		lines = append(lines, strings.Join(parts, "   "))
	}
	return append(lines, "")
}

// record is what an authority did in the slots that are told.
type record struct {
	approved, authored, missed int
	last                       chain.Slot // of its last approval; 0: none
}

// records counts by authority; blocks is how many there were to approve.
func records(s admin.Slots) (of []record, blocks int) {
	of = make([]record, len(s.Authorities))
	for _, x := range s.Slots {
		if x.State == admin.SlotNotarized {
			blocks++
		}
		for _, i := range x.Approvals {
			if i < len(of) {
				of[i].last = x.Slot
				if x.State == admin.SlotNotarized {
					of[i].approved++
				}
			}
		}
		switch {
		case x.Author >= len(of):
		case x.State == admin.SlotNotarized:
			of[x.Author].authored++
		case x.State == admin.SlotMissed:
			of[x.Author].missed++
		}
	}
	return of, blocks
}

// mostAuthorities bounds the authorities that are listed: of more, those that missed most come first.
const mostAuthorities = 12

func (m screen) authorities() []string {
	s := m.last.slots
	of, blocks := records(s)
	order := make([]int, len(of))
	for i := range order {
		order[i] = i
	}
	more := len(order) - mostAuthorities
	if more > 0 {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(of[b].missed, of[a].missed) })
		order = order[:mostAuthorities]
	}
	lines := []string{m.paint.title.Render("authority        approved  authored  missed  last approval")}
	for _, i := range order {
		r, a := of[i], s.Authorities[i]
		last := m.paint.bad.Render("none lately")
		if r.last > 0 {
			last = slotsAgo(s.Slot, r.last)
		}
		missed := fmt.Sprintf("%6d", r.missed)
		if r.missed > 0 {
			missed = m.paint.bad.Render(missed)
		}
		own := ""
		if a.Own {
			own = "  this node"
		}
		lines = append(lines, fmt.Sprintf("%3d %s… %8s  %8d  %s  %s%s", i, a.Key.String()[:10], fmt.Sprintf("%d/%d", r.approved, blocks), r.authored, missed, last, own))
	}
	if more > 0 {
		lines = append(lines, m.paint.faint.Render(fmt.Sprintf("    and %d more", more)))
	}
	return append(lines, "")
}

func slotsAgo(now, then chain.Slot) string {
	if then >= now {
		return "this slot"
	}
	return count(int(now-then), "slot") + " ago"
}

// strip shows every slot as one character, oldest first.
func (m screen) strip() []string {
	var b strings.Builder
	missed := 0
	for _, x := range m.last.slots.Slots {
		if x.State == admin.SlotMissed {
			missed++
		}
		style, _ := m.state(x)
		b.WriteString(style.Render(sign(x.State)))
	}
	title := fmt.Sprintf("last %s, %d missed", count(len(m.last.slots.Slots), "slot"), missed)
	return []string{m.paint.title.Render(title), b.String(), ""}
}

func sign(state string) string {
	switch state {
	case admin.SlotNotarized:
		return "█"
	case admin.SlotMissed:
		return "x"
	case admin.SlotWaiting:
		return "░"
	}
	return "?"
}

// state is how a slot looks and what is said of it.
func (m screen) state(x admin.SlotStatus) (lipgloss.Style, string) {
	switch x.State {
	case admin.SlotNotarized:
		return m.paint.good, "notarized"
	case admin.SlotMissed:
		return m.paint.bad, "missed"
	case admin.SlotWaiting:
		return m.paint.wait, "waiting"
	}
	return m.paint.faint, "not known yet"
}

// slots lists the last slots, newest first, in so many rows.
func (m screen) slots(rows int) []string {
	lines := []string{m.paint.title.Render("slot        author  block     approvals")}
	all := m.last.slots.Slots
	for i := len(all) - 1; i >= 0 && len(lines) < rows; i-- {
		x := all[i]
		style, state := m.state(x)
		height := "-"
		if x.Height > 0 {
			height = fmt.Sprint(x.Height)
		}
		lines = append(lines, fmt.Sprintf("%-10d  %6d  %-8s  %s %2d of %d  %s", x.Slot, x.Author, height, m.marks(x), len(x.Approvals), x.Authorities, style.Render(state)))
	}
	return lines
}

// mostMarks is the largest federation whose approvals are drawn one by one.
const mostMarks = 32

// marks shows who approved, by index.
func (m screen) marks(x admin.SlotStatus) string {
	if x.Authorities > mostMarks {
		return ""
	}
	var b strings.Builder
	for i := range x.Authorities {
		if slices.Contains(x.Approvals, i) {
			b.WriteString(m.paint.good.Render("●"))
		} else {
			b.WriteString(m.paint.faint.Render("·"))
		}
	}
	return b.String()
}
