package watermark_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

var (
	genesis = chain.TaggedHash("test/genesis")
	key     = signer.BLSKey(chain.BLSPublicKey{1})
	other   = signer.BLSKey(chain.BLSPublicKey{2})
)

func header(slot chain.Slot, height chain.Height, n byte) chain.Header {
	return chain.Header{Version: chain.HeaderVersion, Genesis: genesis, Slot: slot, Height: height, BodyRoot: chain.Hash{n}}
}

func open(t testing.TB, dir string) *watermark.Guard {
	t.Helper()
	g, err := watermark.Open(dir, genesis)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func reopen(t testing.TB, g *watermark.Guard, dir string) *watermark.Guard {
	t.Helper()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func approve(t testing.TB, g *watermark.Guard, h chain.Header) {
	t.Helper()
	if err := g.Approve(key, h); err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, signer.ErrRefused) {
		t.Fatalf("got %v, want a refusal", err)
	}
}

// file is the guard file of key.
func file(t testing.TB, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "bls-01*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("got %v, %v", names, err)
	}
	return names[0]
}

func TestRuleHoldsOverRestarts(t *testing.T) {
	tests := []struct {
		name string
		next chain.Header
		ok   bool
	}{
		{"the same block again is allowed", header(10, 4, 1), true},
		{"an earlier block again is allowed", header(9, 4, 1), true},
		{"a later slot is allowed", header(11, 4, 1), true},
		{"another block for the slot is refused", header(10, 4, 2), false},
		{"another block for an earlier slot is refused", header(9, 4, 2), false},
		{"an earlier slot is refused", header(8, 4, 1), false},
		{"a lower height is refused", header(11, 3, 1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			g := open(t, dir)
			approve(t, g, header(9, 4, 1))
			approve(t, g, header(10, 4, 1))
			for range 2 {
				if err := g.Approve(key, tt.next); tt.ok && err != nil {
					t.Fatal(err)
				} else if !tt.ok {
					wantRefused(t, err)
				}
				g = reopen(t, g, dir)
			}
			if err := g.Approve(other, header(1, 1, 1)); err != nil {
				t.Fatalf("another key: %v", err)
			}
		})
	}
}

func TestFloorsAreRaisedAndNeverLowered(t *testing.T) {
	dir := t.TempDir()
	g := open(t, dir)
	for _, f := range []signer.Floor{{Key: key, Slot: 100, Height: 50}, {Key: key, Slot: 5, Height: 5}} {
		if err := g.Raise([]signer.Floor{f}); err != nil {
			t.Fatal(err)
		}
	}
	g = reopen(t, g, dir)
	wantRefused(t, g.Approve(key, header(100, 50, 1)))
	wantRefused(t, g.Approve(key, header(101, 49, 1)))
	approve(t, g, header(101, 50, 1))
	if err := g.Raise([]signer.Floor{{Key: "bls:01", Slot: 1}}); !errors.Is(err, signer.ErrUnknownKey) {
		t.Fatalf("got %v, want ErrUnknownKey", err)
	}
}

// TestTornLastLineIsCut cuts the file at places in its last line, as a crash in the middle of a write does.
func TestTornLastLineIsCut(t *testing.T) {
	dir := t.TempDir()
	g := open(t, dir)
	approve(t, g, header(10, 4, 1))
	whole, err := os.ReadFile(file(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	approve(t, g, header(11, 4, 1))
	longer, err := os.ReadFile(file(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	for n := len(whole); n < len(longer); n = max(n+1, min(n+11, len(longer)-1)) {
		if err := os.WriteFile(file(t, dir), longer[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		g := open(t, dir)
		if got := len(g.Cut()) == 1; got != (n > len(whole)) {
			t.Fatalf("%d bytes: cut is %v", n, g.Cut())
		}
		if st, err := os.Stat(file(t, dir)); err != nil || st.Size() != int64(len(whole)) {
			t.Fatalf("%d bytes: the file was left with %v bytes (%v), want %d", n, st.Size(), err, len(whole))
		}
		wantRefused(t, g.Approve(key, header(10, 4, 2)))
		approve(t, g, header(11, 4, 2)) // the torn one was never answered
		g = reopen(t, g, dir)
		wantRefused(t, g.Approve(key, header(11, 4, 1)))
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamageStopsTheGuard(t *testing.T) {
	tests := []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"a changed byte in the middle", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }},
		{"a changed byte in the last line", func(b []byte) []byte { b[len(b)-10] ^= 1; return b }},
		{"a missing line", func(b []byte) []byte {
			lines := bytes.SplitAfter(b, []byte("\n"))
			return bytes.Join(append(lines[:1:1], lines[2:]...), nil)
		}},
		{"an empty file", func([]byte) []byte { return nil }},
		{"another key's file", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("0x01"), []byte("0x03")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			g := open(t, dir)
			for slot := chain.Slot(1); slot < 5; slot++ {
				approve(t, g, header(slot, 1, 1))
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file(t, dir), tt.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := watermark.Open(dir, genesis); !errors.Is(err, watermark.ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
			if _, err := watermark.Open(dir, chain.Hash{9}); err != nil {
				t.Fatalf("the folder was not let go, or another chain is hurt: %v", err)
			}
		})
	}
}

func TestTwoGuardsCannotHoldOneFolder(t *testing.T) {
	dir := t.TempDir()
	g := open(t, dir)
	if _, err := watermark.Open(dir, genesis); !errors.Is(err, watermark.ErrHeld) {
		t.Fatalf("got %v, want ErrHeld", err)
	}
	reopen(t, g, dir)
}

func TestClosedGuardSignsNothing(t *testing.T) {
	g := open(t, t.TempDir())
	approve(t, g, header(1, 1, 1))
	for range 2 {
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Approve(key, header(2, 1, 1)); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if err := g.Spend(watermark.Spend{Payment: chain.Hash{1}, TxID: chain.Hash{1}, Outpoints: []string{"a:0"}}); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestOfConcurrentBlocksOneIsAllowed(t *testing.T) {
	g := open(t, t.TempDir())
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() { errs[i] = g.Approve(key, header(1, 1, byte(i))) })
	}
	wg.Wait()
	allowed := 0
	for _, err := range errs {
		if err == nil {
			allowed++
		}
	}
	if allowed != 1 {
		t.Fatalf("%d were allowed, want 1", allowed)
	}
}

func TestSpendRule(t *testing.T) {
	spend := func(payment, tx byte, outpoints ...string) watermark.Spend {
		return watermark.Spend{Payment: chain.Hash{payment}, TxID: chain.Hash{tx}, Outpoints: outpoints}
	}
	tests := []struct {
		name string
		next watermark.Spend
		ok   bool
	}{
		{"the same transaction again is allowed", spend(1, 1, "a:0", "b:0"), true},
		{"a fee bump with the same inputs is allowed", spend(1, 2, "b:0", "a:0"), true},
		{"another payment of other outpoints is allowed", spend(2, 3, "c:0"), true},
		{"another payment of the same outpoint is refused", spend(2, 3, "c:0", "b:0"), false},
		{"a fee bump of other inputs is refused", spend(1, 2, "c:0", "d:0"), false},
		{"a fee bump of fewer inputs is refused", spend(1, 2, "a:0"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			g := open(t, dir)
			if err := g.Spend(spend(1, 1, "a:0", "b:0")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := g.Spend(tt.next); tt.ok && err != nil {
					t.Fatal(err)
				} else if !tt.ok {
					wantRefused(t, err)
				}
				g = reopen(t, g, dir)
			}
		})
	}
}

// TestNeverTwoBlocksForASlot restarts at random, with the file cut at random inside its last line.
func TestNeverTwoBlocksForASlot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		g := open(t, dir)
		signed := map[chain.Slot]chain.Hash{}
		var top chain.Slot
		var height chain.Height
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				if err := g.Close(); err != nil {
					rt.Fatal(err)
				}
				if names, _ := filepath.Glob(filepath.Join(dir, "*", "bls-01*")); len(names) == 1 {
					tear(rt, names[0])
				}
				g = open(t, dir)
				continue
			}
			h := header(chain.Slot(rapid.IntRange(1, 12).Draw(rt, "slot")),
				chain.Height(rapid.IntRange(1, 4).Draw(rt, "height")), byte(rapid.IntRange(1, 2).Draw(rt, "rival")))
			if g.Approve(key, h) != nil {
				continue
			}
			if before, ok := signed[h.Slot]; ok && before != h.Hash() {
				rt.Fatalf("two blocks for slot %s", h.Slot)
			} else if !ok && (h.Slot <= top || h.Height < height) {
				rt.Fatalf("slot %s height %s after slot %s height %s", h.Slot, h.Height, top, height)
			} else if !ok {
				signed[h.Slot], top, height = h.Hash(), h.Slot, h.Height
			}
		}
		if err := g.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// tear appends the start of a line, as a write does that the crash interrupted.
func tear(rt *rapid.T, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		rt.Fatal(err)
	}
	first := b[:bytes.IndexByte(b, '\n')]
	b = append(b, first[:rapid.IntRange(0, len(first)).Draw(rt, "torn")]...)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		rt.Fatal(err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("00 {}\n"))
	f.Add([]byte("af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		folder := filepath.Join(dir, genesis.String()[2:])
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "bitcoin.guard"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		g, err := watermark.Open(dir, genesis)
		if err == nil {
			_ = g.Close()
		} else if !errors.Is(err, watermark.ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

func BenchmarkApprove(b *testing.B) {
	g := open(b, b.TempDir())
	slot := chain.Slot(0)
	for b.Loop() {
		slot++
		if err := g.Approve(key, header(slot, 1, 1)); err != nil {
			b.Fatal(err)
		}
	}
}
