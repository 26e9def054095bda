package watermark_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alys-node/alys/plugins/internal/watermark"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// head is the first line of the file of a subject.
func head(subject signer.KeyID) string {
	return fmt.Sprintf(`{"kind":"head","format":"alys-signer-guard/1","genesis":"%s","subject":"%s"}`, genesis, subject)
}

func approvalLine(slot chain.Slot, height chain.Height, n byte) string {
	return fmt.Sprintf(`{"kind":"approval","slot":%d,"height":%d,"block":"%s"}`, slot, height, header(slot, height, n).Hash())
}

// chained is a guard file of the lines, as the package comment says: each after the hash of itself and the line before.
func chained(lines ...string) []byte {
	var b []byte
	var sum [32]byte
	for _, l := range lines {
		sum = sha256.Sum256(append(sum[:], l...))
		b = append(hex.AppendEncode(b, sum[:]), " "+l+"\n"...)
	}
	return b
}

// writeFile makes the guard file of a subject: "bls-01…" or "bitcoin".
func writeFile(t testing.TB, dir string, subject signer.KeyID, content []byte) string {
	t.Helper()
	folder := filepath.Join(dir, genesis.String()[2:])
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, strings.Replace(string(subject), "bls:0x", "bls-", 1)+".guard")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fullJournal has so many approvals that the next one compacts the file; slots and heights count up to the last.
func fullJournal(t testing.TB, dir string) (last chain.Slot) {
	t.Helper()
	lines := []string{head(key)}
	for slot := chain.Slot(1); slot <= watermark.CompactAt; slot++ {
		lines = append(lines, approvalLine(slot, chain.Height(slot), 1))
	}
	writeFile(t, dir, key, chained(lines...))
	return watermark.CompactAt
}

func TestCompactedFileKeepsTheRule(t *testing.T) {
	dir := t.TempDir()
	last := fullJournal(t, dir)
	g := open(t, dir)
	for range 10 {
		last++
		approve(t, g, header(last, chain.Height(last), 1))
	}
	b, err := os.ReadFile(file(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(b), "\n"); lines > 1000 {
		t.Errorf("the file has %d lines", lines)
	}
	for range 2 {
		wantRefused(t, g.Approve(key, header(last, chain.Height(last), 2)))
		wantRefused(t, g.Approve(key, header(1, 1, 1)))
		wantRefused(t, g.Approve(key, header(last+1, chain.Height(last-1), 1)))
		approve(t, g, header(last-50, chain.Height(last-50), 1))
		g = reopen(t, g, dir)
	}
}

// TestWholeLinesThatCannotBe have the right hashes: somebody made them, or a bug of ours.
func TestWholeLinesThatCannotBe(t *testing.T) {
	spend := `{"kind":"spend","payment":"` + genesis.String() + `","txid":"` + genesis.String() + `","outpoints":["a:0"]}`
	tests := []struct {
		name    string
		subject signer.KeyID
		lines   []string
	}{
		{"no head", key, []string{approvalLine(1, 1, 1)}},
		{"the head of another key", key, []string{head(other)}},
		{"the head of another format", key, []string{strings.Replace(head(key), "guard/1", "guard/2", 1)}},
		{"the head of another chain", key, []string{strings.Replace(head(key), genesis.String(), chain.Hash{1}.String(), 1)}},
		{"a slot goes back", key, []string{head(key), approvalLine(2, 1, 1), approvalLine(1, 1, 1)}},
		{"a slot twice", key, []string{head(key), approvalLine(2, 1, 1), approvalLine(2, 1, 2)}},
		{"a height goes back", key, []string{head(key), approvalLine(2, 2, 1), approvalLine(3, 1, 1)}},
		{"an approval without a block", key, []string{head(key), `{"kind":"approval","slot":1,"height":1}`}},
		{"a spend in a key's file", key, []string{head(key), spend}},
		{"a line that is no record", key, []string{head(key), `[]`}},
		{"an approval in the file of spends", "bitcoin", []string{head("bitcoin"), approvalLine(1, 1, 1)}},
		{"a spend without outpoints", "bitcoin", []string{head("bitcoin"), strings.Replace(spend, `"a:0"`, "", 1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, tt.subject, chained(tt.lines...))
			if _, err := watermark.Open(dir, genesis); !errors.Is(err, watermark.ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
		})
	}
}

func TestFileThatWasReplacedRecordsNothing(t *testing.T) {
	tests := []struct {
		name   string
		change func(path string, content []byte) error
	}{
		{"removed", func(path string, _ []byte) error { return os.Remove(path) }},
		{"moved away", func(path string, _ []byte) error { return os.Rename(path, path+".old") }},
		{"replaced by a copy", func(path string, content []byte) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, content, 0o600))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			g := open(t, dir)
			approve(t, g, header(10, 4, 1))
			path := file(t, dir)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.change(path, content); err != nil {
				t.Fatal(err)
			}
			if err := g.Approve(key, header(11, 4, 1)); !errors.Is(err, signer.ErrUnavailable) {
				t.Fatalf("got %v, want a failure", err)
			}
			if err := g.Err(); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want a reason that names the file", err)
			}
			if err := g.Approve(other, header(11, 4, 1)); err != nil {
				t.Errorf("another key: %v", err)
			}
		})
	}
}

func TestWhatACrashLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir, key, chained(head(key), approvalLine(10, 4, 1)))
	left := filepath.Join(filepath.Dir(path), ".tmp-123")
	if err := os.WriteFile(left, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := open(t, dir)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	wantRefused(t, g.Approve(key, header(10, 4, 2)))
}
