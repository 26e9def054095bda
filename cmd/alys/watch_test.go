package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/chain"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// federationOfThree is a node whose third authority is dead: it missed two slots, and a block of the node's own waits.
func federationOfThree() sight {
	s := sight{at: noon, status: admin.Status{
		Name: "fed-0", Version: "v1", Chain: "main", ChainID: 7, Slot: 106, Ready: true, StartedAt: noon.Add(-90 * time.Second),
		Head: chain.Ref{Height: 42, Hash: chain.Hash{0xaa}}, Safe: chain.Ref{Height: 41, Hash: chain.Hash{0xbb}}, Finalized: chain.Ref{Hash: chain.Hash{0xcc}},
		Sync:  admin.SyncStatus{Stage: "synced", Cursor: 42, Target: 42},
		Peers: []admin.PeerStatus{{ID: "16Uiu2HAmSomeoneElse", Head: 41, RTTMillis: 12, Client: "alys/v1"}},
		Roles: map[string]admin.RoleStatus{
			"signer": {
				Route: admin.RouteStatus{Primary: "local2", Fallback: "local"}, States: []string{"single", "probation"},
				Generations: []admin.GenerationStatus{{Plugin: "local2", Generation: 4, State: "ready"}, {Plugin: "local", Generation: 1, State: "restarting"}},
			},
			"engine": {Route: admin.RouteStatus{Primary: "v5"}, States: []string{"single"}, Generations: []admin.GenerationStatus{{Plugin: "v5", Generation: 2, State: "ready"}}},
		},
	}}
	s.slots = admin.Slots{Slot: 106, Authorities: []admin.AuthorityStatus{{Key: chain.BLSPublicKey{1}, Own: true}, {Key: chain.BLSPublicKey{2}}, {Key: chain.BLSPublicKey{3}}}}
	for i, x := range []admin.SlotStatus{
		{State: admin.SlotNotarized, Author: 0, Height: 39, Approvals: []int{0, 1, 2}},
		{State: admin.SlotNotarized, Author: 1, Height: 40, Approvals: []int{0, 1}},
		{State: admin.SlotMissed, Author: 2},
		{State: admin.SlotMissed, Author: 2, Height: 41, Approvals: []int{2}},
		{State: admin.SlotNotarized, Author: 0, Height: 41, Approvals: []int{0, 1}},
		{State: admin.SlotNotarized, Author: 0, Height: 42, Approvals: []int{0, 1}},
		{State: admin.SlotWaiting, Author: 1, Height: 43, Approvals: []int{1}},
	} {
		x.Slot, x.Quorum, x.Authorities = chain.Slot(100+i), 2, 3
		s.slots.Slots = append(s.slots.Slots, x)
	}
	return s
}

// behind is the same node far from the tip.
func behind() sight {
	s := federationOfThree()
	s.status.Ready, s.status.Reasons = false, []string{"catching up"}
	s.status.Sync = admin.SyncStatus{Stage: "importing", Cursor: 1_200, Target: 4_800, BlocksPerSecond: 300, SecondsLeft: 12}
	for i := range s.slots.Slots {
		s.slots.Slots[i].State = admin.SlotUnknown
		s.slots.Slots[i].Approvals, s.slots.Slots[i].Height = nil, 0
	}
	return s
}

func TestWatchDraws(t *testing.T) {
	large := federationOfThree()
	for i := range 40 {
		large.status.Peers = append(large.status.Peers, admin.PeerStatus{ID: fmt.Sprintf("16Uiu2HAmNumber%05d", i), Client: "alys/v1"})
	}
	for i := range 37 {
		large.slots.Authorities = append(large.slots.Authorities, admin.AuthorityStatus{Key: chain.BLSPublicKey{byte(4 + i)}})
	}
	for i := range large.slots.Slots {
		large.slots.Slots[i].Authorities, large.slots.Slots[i].Quorum = 40, 27
	}
	away := screen{}
	away.see(federationOfThree())
	for i := range 3 { // the time runs from the first one
		away.see(sight{at: noon.Add(time.Duration(5+i) * time.Second), err: fmt.Errorf("%w: nothing answers", admin.ErrNoNode)})
	}
	back := away
	back.see(federationOfThree())
	tests := []struct {
		name string // and of the file
		m    screen
	}{
		{"in_sync", screen{last: federationOfThree()}},
		{"behind", screen{last: behind()}},
		{"away", away},
		{"in_sync", back},
		{"large", screen{last: large, height: 34}},
		{"low_terminal", screen{last: federationOfThree(), height: 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			for line := range strings.Lines(tt.m.View().Content + "\n") {
				got.WriteString(strings.TrimRight(line, " \n") + "\n")
			}
			path := filepath.Join("testdata", "watch", tt.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got; -update writes it)\n%s", diff)
			}
		})
	}
}

func TestWatchKeysAndLooks(t *testing.T) {
	looks := 0
	var m tea.Model = screen{look: func() sight { looks++; return federationOfThree() }}
	if m.Init() == nil {
		t.Error("nothing looks")
	}
	m, cmd := m.Update(again{})
	m, next := m.Update(cmd())
	if looks != 1 || next == nil || m.(screen).last.status.Name != "fed-0" {
		t.Errorf("%d looks, next %v", looks, next != nil)
	}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 80, Height: 12})
	if m.(screen).height != 12 {
		t.Error("the size of the terminal is not taken")
	}
	for key, quits := range map[tea.KeyPressMsg]bool{
		{Code: 'q', Text: "q"}:                 true,
		{Code: 'c', Mod: tea.ModCtrl}:          true,
		{Code: 'x', Text: "x"}:                 false,
		{Code: tea.KeyEscape}:                  true,
		{Code: 'q', Text: "", Mod: tea.ModAlt}: false,
	} {
		_, cmd := m.Update(key)
		if got := cmd != nil; got != quits {
			t.Errorf("%q quits: %v, want %v", key.String(), got, quits)
		}
	}
}

// later is the same node a slot on, with the block that waited.
func later(s sight) sight {
	s.at = s.at.Add(2 * time.Second)
	s.slots.Slot++
	s.slots.Slots = append([]admin.SlotStatus(nil), s.slots.Slots...)
	last := &s.slots.Slots[len(s.slots.Slots)-1]
	last.State, last.Approvals = admin.SlotNotarized, []int{0, 1}
	s.slots.Slots = append(s.slots.Slots, admin.SlotStatus{Slot: s.slots.Slot, State: admin.SlotWaiting, Author: 1, Quorum: 2, Authorities: 3})
	s.status.Head.Height++
	return s
}

func TestPlainLines(t *testing.T) {
	first := federationOfThree()
	second := later(first)
	all := later(second) // everybody approved: no need to wait for the slot's end
	all.slots.Slots[len(all.slots.Slots)-1] = admin.SlotStatus{Slot: 108, State: admin.SlotNotarized, Author: 2, Height: 45, Approvals: []int{0, 1, 2}, Authorities: 3}
	gone := sight{at: noon, err: fmt.Errorf("%w: nothing answers", admin.ErrNoNode)}
	jumped := first
	jumped.slots = admin.Slots{Slot: 50, Slots: []admin.SlotStatus{{Slot: 49, State: admin.SlotMissed, Author: 1, Authorities: 3}}}
	tests := []struct {
		name  string
		looks []sight
		want  string
	}{
		{"blocks, each once", []sight{first, first, second, second}, `12:00:00  slot 105  block 42       author 0  approvals 2 of 3  head 42  safe 41
12:00:02  slot 106  block 43       author 1  approvals 2 of 3  head 43  safe 41
`},
		{"a block that everybody approved, at once", []sight{second, all}, `12:00:02  slot 106  block 43       author 1  approvals 2 of 3  head 43  safe 41
12:00:04  slot 107  block 0        author 1  approvals 2 of 3  head 44  safe 41
12:00:04  slot 108  block 45       author 2  approvals 3 of 3  head 44  safe 41
`},
		{"a restart", []sight{first, gone, gone, second}, `12:00:00  slot 105  block 42       author 0  approvals 2 of 3  head 42  safe 41
12:00:00  node does not answer, trying again: no node is running here
12:00:02  node answers again
12:00:02  slot 106  block 43       author 1  approvals 2 of 3  head 43  safe 41
`},
		{"another failure", []sight{{at: noon, err: errors.New("timed out")}}, "12:00:00  node does not answer, trying again: timed out\n"},
		{"sync", []sight{behind(), behind(), first}, `12:00:00  sync 1200 of 4800, importing, 300 blocks/s, 12s left
12:00:00  in sync
12:00:00  slot 105  block 42       author 0  approvals 2 of 3  head 42  safe 41
`},
		{"a clock that went back", []sight{first, jumped}, `12:00:00  slot 105  block 42       author 0  approvals 2 of 3  head 42  safe 41
12:00:00  slot 49  missed         author 1  approvals 0 of 3  head 42  safe 41
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			r := &reporter{out: &out}
			for _, s := range tt.looks {
				if err := r.show(s); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestPlainLinesAsJSON(t *testing.T) {
	var out bytes.Buffer
	r := &reporter{out: &out, json: true}
	for _, s := range []sight{federationOfThree(), {at: noon, err: admin.ErrNoNode}, behind()} {
		if err := r.show(s); err != nil {
			t.Fatal(err)
		}
	}
	hash := func(digits string) string { return "0x" + digits + strings.Repeat("0", 64-len(digits)) }
	want := `{"time":"2030-01-01T12:00:00Z","slot":105,"start":"0001-01-01T00:00:00Z","state":"notarized","author":0,"height":42,"approvals":[0,1],"quorum":2,"authorities":3,` +
		`"head":{"height":42,"hash":"` + hash("aa") + `"},"safe":{"height":41,"hash":"` + hash("bb") + `"}}
{"time":"2030-01-01T12:00:00Z","error":"no node is running here"}
{"time":"2030-01-01T12:00:00Z","sync":{"stage":"importing","cursor":1200,"target":4800,"downloading":0,"buffered_bytes":0,"blocks_per_second":300,"seconds_left":12}}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWatchEndsWhenNobodyReads(t *testing.T) {
	closed, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	c := admin.NewClient("nowhere")
	if err := watchPlain(t.Context(), c, &reporter{out: closed}, federationOfThree()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// staged is a node that answers what it was given.
type staged struct{ admin.Node }

func (staged) Status(context.Context) (admin.Status, error) { return federationOfThree().status, nil }

func (staged) Slots(context.Context) (admin.Slots, error) { return federationOfThree().slots, nil }

// TestWatchOnATerminal: it draws there, goes on when the node is away, and q ends it. With NO_COLOR it prints lines.
func TestWatchOnATerminal(t *testing.T) {
	dir, err := os.MkdirTemp(built, "w") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	s, err := admin.NewServer(filepath.Join(dir, socketName), staged{}, nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(serving) }()

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watching := func(env ...string) (*shown, *exec.Cmd) {
		master, tty := terminal(t)
		if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(ctx, filepath.Join(built, "bin", "alys"), "watch", "--data-dir", dir)
		cmd.Env = append([]string{"TERM=xterm-256color", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}, env...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tty.Close()
		out := &shown{screen: master}
		go func() { _, _ = io.Copy(out, master) }()
		return out, cmd
	}

	lines, cmd := watching("NO_COLOR=1")
	lines.await(ctx, t, "approvals 2 of 3")
	if strings.Contains(lines.text(), "\x1b") {
		t.Errorf("NO_COLOR draws: %q", lines.text())
	}
	if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
		t.Errorf("the end of the lines: %v", err)
	}

	drawn, cmd := watching()
	drawn.await(ctx, t, "notarized")
	stop()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	drawn.await(ctx, t, "trying again")
	if _, err := drawn.screen.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("q: %v\n%q", err, drawn.text())
	}
}

// shown collects what is written to a terminal.
type shown struct {
	screen *os.File

	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (s *shown) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *shown) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func (s *shown) await(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.text(), text) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%q did not come: %q", text, s.text())
		}
	}
}
