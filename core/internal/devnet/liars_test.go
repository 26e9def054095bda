package devnet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/devnet"
	"github.com/alys-node/alys/core/internal/liars"
)

// TestEndToEndLiars points a producing node at every liar, one after the other, as an operator would, and holds what the
// operator then reads against the list. The old signer serves on: every slot has its block, nothing of a liar is left, and
// neither the node's memory nor its log grows with what a liar sends.
func TestEndToEndLiars(t *testing.T) {
	t.Parallel()
	n := start(t, "swap {\n  health_interval = \"1s\"\n}\n")
	for _, l := range liars.All() {
		if l.Alone {
			continue
		}
		honest, lying := `LIAR = ""`, fmt.Sprintf("LIAR = %q", l.Mode)
		if l.Pin != "" {
			honest, lying = "env = {\n    "+honest, fmt.Sprintf("checksum = %q\n  env = {\n    %s", l.Pin, lying)
		}
		n.Edit(honest, lying)
		n.Edit(toLocal, toBad)
		out, ok := n.Alys("apply", "--auto-approve")
		switch l.Outcome {
		case liars.Refused:
			reads(t, l, out)
			if s := n.Status().Roles["signer"]; ok || s.Route.Primary != "local" || len(s.Generations) != 1 {
				t.Errorf("%s: applied %v, route %+v, generations %+v", l.Mode, ok, s.Route, s.Generations)
			}
		case liars.FlippedBack:
			if !ok {
				t.Errorf("%s: not admitted: %s", l.Mode, out)
			}
			n.Until("flip back from "+l.Mode, time.Minute, func() bool { return n.Status().Roles["signer"].Route.Primary == "local" })
			status, _ := n.Alys("status")
			again, _ := n.Alys("apply", "--auto-approve")
			out = status + again
			reads(t, l, out)
		case liars.Harmless:
			if !ok {
				t.Errorf("%s: not admitted: %s", l.Mode, out)
			}
			n.UntilBlocks(2)
			if g := n.Primary("signer"); g.Plugin != "bad" {
				t.Errorf("%s: %s serves\n%s", l.Mode, g.Plugin, n.LogTail(20))
			}
			if out, ok := n.Alys("rollback", "--role", "signer"); !ok {
				t.Errorf("%s: rollback: %s", l.Mode, out)
			}
		}
		t.Logf("%s (%s): %s", l.Mode, l.Does, l.Outcome)
		n.Edit(toBad, toLocal)
		n.Edit(lying, honest)
		leftovers(t, n, 4, l.Mode)
	}
	bounded(t, n)
	everySlot(t, n, n.Status().MissedOwn)
}

// reads wants the parts of a message that the list names.
func reads(t *testing.T, l liars.Liar, out string) {
	t.Helper()
	text := strings.Join(strings.Fields(out), " ")
	for _, part := range l.Reads {
		if !strings.Contains(text, part) {
			t.Errorf("%s: the operator does not read %q:\n%s", l.Mode, part, out)
		}
	}
}

// bounded holds the node's memory and its log on disk against what liars may make of them: the promise, and what the rate
// limit of plugins' output lets through.
func bounded(t *testing.T, n *devnet.Node) {
	t.Helper()
	for _, p := range n.Processes() {
		if p.PID == n.PID() {
			t.Logf("the host uses %d MB after all liars", p.RSS>>20)
			if p.RSS > 256<<20 {
				t.Errorf("the host uses %d MB, promised 256", p.RSS>>20)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(n.Dir, "alys.log*"))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			size += info.Size()
		}
	}
	t.Logf("the log has %d KB", size>>10)
	if size > 16<<20 {
		t.Errorf("the log has %d MB", size>>20)
	}
}
