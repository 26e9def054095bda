package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/swap"
)

func backupsOf(t *testing.T) *backups {
	t.Helper()
	dir := t.TempDir()
	journal, err := swap.OpenFileJournal(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := migrate.OpenFileLog(filepath.Join(dir, MigrationsLog))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(journal.Append(t.Context(), swap.Record{State: swap.Stopped}), journal.Close(), log.Close()); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "alys.hcl")
	if err := os.WriteFile(config, []byte("node {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	return &backups{
		log: hclog.NewNullLogger(), dir: filepath.Join(dir, "backups"), keep: 2, guard: newAdmitter(t).guard, config: func() string { return config },
		now:   func() time.Time { at = at.Add(time.Second); return at },
		files: map[string]string{backupJournal: filepath.Join(dir, "journal"), backupMigrations: filepath.Join(dir, MigrationsLog)},
	}
}

func TestBackupIsVerifiedFromTheDisk(t *testing.T) {
	b := backupsOf(t)
	path, err := b.Make(t.Context(), "migration engine-v5, step canary 10 %")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, "Z-migration-engine-v5-step-canary-10") {
		t.Errorf("path %s", path)
	}
	if err := b.Verify(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{backupGuard, backupJournal, backupMigrations, "alys.hcl", backupSums} {
		file := filepath.Join(path, name)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append([]byte("x"), good...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(t.Context(), path); !errors.Is(err, errBadBackup) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("with a changed %s: %v", name, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without %s: %v", name, err)
		}
		if err := os.WriteFile(file, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, backupSums), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(t.Context(), path); !errors.Is(err, errBadBackup) {
		t.Errorf("a backup without sums: %v", err)
	}
}

func TestBackupsAreKeptUpToTheirNumber(t *testing.T) {
	b := backupsOf(t)
	left := filepath.Join(b.dir, ".20261124T000000.000Z-step") // by a crash
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := os.Stat(left); err == nil {
			t.Error("what a crash left unfinished is still there")
		}
	}()
	var made []string
	for range 4 {
		path, err := b.Make(t.Context(), "step")
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, path)
	}
	for i, path := range made {
		if _, err := os.Stat(path); (err == nil) != (i >= 2) {
			t.Errorf("backup %d of 4, 2 are kept: %v", i+1, err)
		}
	}
}

func TestBackupThatCannotBeWrittenLeavesNothing(t *testing.T) {
	b := backupsOf(t)
	b.files[backupJournal] += ".gone"
	if _, err := b.Make(t.Context(), "step"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
