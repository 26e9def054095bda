package migrate_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/migrate"
)

// written makes a log of a whole run on disk and returns its path and content.
func written(t *testing.T) (path string, content []byte) {
	t.Helper()
	w := newWorld(t)
	c := w.process()
	w.start(c, short())
	w.finish(c)
	path = filepath.Join(t.TempDir(), "migrations.log")
	l := openLog(t, path)
	for _, r := range w.records {
		if err := l.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

func openLog(t *testing.T, path string) *migrate.FileLog {
	t.Helper()
	l, err := migrate.OpenFileLog(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestLogKeepsARunAndVerifies(t *testing.T) {
	path, content := written(t)
	n := bytes.Count(content, []byte("\n"))
	l := openLog(t, path)
	if len(l.Records()) != n || l.Cut() != 0 {
		t.Errorf("%d records of %d lines, %d bytes cut", len(l.Records()), n, l.Cut())
	}
	v, err := migrate.Verify(path)
	if err != nil || v.Records != n || v.Torn != 0 || v.Sum == "" || v.First.After(v.Last) {
		t.Errorf("%+v, %v", v, err)
	}
	w := newWorld(t)
	w.records = l.Records()
	w.want(w.process(), migrate.StateFinished, "only")
}

func TestVerifyNamesTheLine(t *testing.T) {
	path, content := written(t)
	lines := bytes.SplitAfter(content, []byte("\n"))
	join := func(ls ...[]byte) []byte { return bytes.Join(ls, nil) }
	rest := func(i int) []byte { return join(lines[i:]...) }
	for _, tc := range []struct {
		name    string
		content []byte
		line    int
	}{
		{"a changed word", join(join(lines[:2]...), bytes.Replace(lines[2], []byte("shadow"), []byte("shade!"), 1), rest(3)), 3},
		{"a line taken out", join(join(lines[:3]...), rest(4)), 4},
		{"two lines exchanged", join(lines[0], lines[2], lines[1], rest(3)), 2},
		{"a cut head", rest(1), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.WriteFile(path, tc.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := migrate.Verify(path)
			broken, ok := errors.AsType[*migrate.BrokenError](err)
			if !ok || broken.Line != tc.line || !errors.Is(err, migrate.ErrLogBroken) {
				t.Errorf("verify: %v, want line %d", err, tc.line)
			}
			if _, err := migrate.OpenFileLog(path); !errors.Is(err, migrate.ErrLogBroken) {
				t.Errorf("open: %v", err)
			}
			if got, _ := os.ReadFile(path); !bytes.Equal(got, tc.content) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestARecordThatCannotHaveHappenedIsBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "migrations.log")
	l := openLog(t, path)
	if err := l.Append(migrate.Record{Kind: migrate.RecordApproved, Run: "up-1", Name: "up", By: "mallory"}); err != nil {
		t.Fatal(err)
	}
	_, err := migrate.Verify(path)
	if broken, ok := errors.AsType[*migrate.BrokenError](err); !ok || broken.Line != 1 || !strings.Contains(err.Error(), "never started") {
		t.Errorf("verify: %v", err)
	}
	if _, err := migrate.New(migrate.Options{Roles: newWorld(t), Meter: newWorld(t), Log: l}); !errors.Is(err, migrate.ErrLogBroken) {
		t.Errorf("new: %v", err)
	}
}

func TestLogTornAnywhereInItsLastLineIsCut(t *testing.T) {
	path, content := written(t)
	last := bytes.LastIndexByte(content[:len(content)-1], '\n') + 1
	n := bytes.Count(content, []byte("\n"))
	for cut := last + 1; cut < len(content); cut += 97 {
		if err := os.WriteFile(path, content[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := migrate.Verify(path); err != nil || v.Records != n-1 || v.Torn != int64(cut-last) {
			t.Fatalf("verify at byte %d: %+v, %v", cut, v, err)
		}
		l := openLog(t, path)
		if len(l.Records()) != n-1 || l.Cut() != int64(cut-last) {
			t.Fatalf("at byte %d: %d records, %d cut", cut, len(l.Records()), l.Cut())
		}
	}
}
