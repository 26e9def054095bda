package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/internal/durable"
	"github.com/alys-node/alys/core/migrate"
	"github.com/alys-node/alys/core/swap"
)

// backups keeps, before a step of a migration, what the way back and an inquiry need and what cannot be had from peers: the
// guard's records, the two logs and the configuration. Blocks and engines' folders are not in it, and no keys. It implements
// migrate.Backups.
type backups struct {
	dir    string
	keep   int
	guard  *guard.Guard
	config func() string     // path of alys.hcl, a file or a folder
	files  map[string]string // name in the backup: path in the data folder
	now    func() time.Time
	log    hclog.Logger
}

// The names in a backup.
const (
	backupGuard      = "guard.json"
	backupJournal    = "journal"
	backupMigrations = MigrationsLog
	backupSums       = "SHA256SUMS" // as `sha256sum -c` reads it
)

var errBadBackup = errors.New("the backup is not what was written")

// newBackups is nil when the configuration wants none.
func (n *Node) newBackups() migrate.Backups {
	c := n.opt.Config
	if !c.Backup.BeforeMigration {
		return nil
	}
	return &backups{
		dir: c.Backup.Dir, keep: c.Backup.Keep, guard: n.guard, config: func() string { return n.blocks.file().Path }, now: time.Now, log: n.log.Named("backup"),
		files: map[string]string{
			backupJournal:    filepath.Join(c.Node.DataDir, "journal"),
			backupMigrations: filepath.Join(c.Node.DataDir, MigrationsLog),
		},
	}
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9-]+`)

// Make implements migrate.Backups. The folder has its name when all of it is on disk.
func (b *backups) Make(ctx context.Context, reason string) (string, error) {
	name := b.now().UTC().Format("20060102T150405.000Z") + "-" + strings.Trim(notInNames.ReplaceAllString(reason, "-"), "-")
	path, unfinished := filepath.Join(b.dir, name), filepath.Join(b.dir, "."+name)
	if err := os.MkdirAll(unfinished, 0o700); err != nil {
		return "", fmt.Errorf("make backup: %w", err)
	}
	if err := b.fill(ctx, unfinished); err != nil {
		return "", errors.Join(fmt.Errorf("make backup: %w", err), os.RemoveAll(unfinished))
	}
	if err := errors.Join(os.Rename(unfinished, path), durable.SyncDir(b.dir)); err != nil {
		return "", fmt.Errorf("make backup: %w", err)
	}
	if err := b.prune(); err != nil { // the new one is there all the same
		b.log.Warn("old backups were not removed", "dir", b.dir, "error", err)
	}
	return path, nil
}

func (b *backups) fill(ctx context.Context, dir string) error {
	content := map[string][]byte{}
	raw, err := b.guard.Export(ctx)
	if err != nil {
		return fmt.Errorf("export guard: %w", err)
	}
	content[backupGuard] = raw
	for name, path := range b.files {
		if content[name], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	configs := []string{b.config()}
	if info, err := os.Stat(configs[0]); err == nil && info.IsDir() {
		if configs, err = filepath.Glob(filepath.Join(configs[0], "*.hcl")); err != nil {
			return err
		}
	}
	for _, path := range configs {
		if content[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	var sums strings.Builder
	names := make([]string, 0, len(content))
	for name := range content {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		sum := sha256.Sum256(content[name])
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), name)
	}
	content[backupSums] = []byte(sums.String())
	for name, raw := range content {
		if err := durable.WriteNew(filepath.Join(dir, name), raw); err != nil {
			return err
		}
	}
	return durable.SyncDir(dir)
}

// prune removes what a crash left unfinished, and the oldest backups of ours above keep; their names begin with their time.
func (b *backups) prune() error {
	const ours = "[0-9]*T[0-9]*Z-*"
	unfinished, err := filepath.Glob(filepath.Join(b.dir, "."+ours))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range unfinished {
		errs = append(errs, os.RemoveAll(path))
	}
	all, err := filepath.Glob(filepath.Join(b.dir, ours))
	if err != nil || len(all) <= b.keep {
		return errors.Join(append(errs, err)...)
	}
	slices.Sort(all)
	for _, path := range all[:len(all)-b.keep] {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// Verify implements migrate.Backups: every file is read again from the disk, has its sum, and is what it should be.
func (b *backups) Verify(_ context.Context, path string) error {
	sums, err := os.ReadFile(filepath.Join(path, backupSums))
	if err != nil {
		return fmt.Errorf("verify backup: %w", err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(sums)) {
		want, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || name != filepath.Base(name) {
			return fmt.Errorf("verify backup %s: %w: %s is damaged", path, errBadBackup, backupSums)
		}
		raw, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			return fmt.Errorf("verify backup: %w", err)
		}
		if got := sha256.Sum256(raw); hex.EncodeToString(got[:]) != want {
			return fmt.Errorf("verify backup %s: %w: %s has another sum", path, errBadBackup, name)
		}
		if err := b.readable(path, name, raw); err != nil {
			return fmt.Errorf("verify backup %s: %w: %s: %w", path, errBadBackup, name, err)
		}
		seen[name] = true
	}
	for _, name := range []string{backupGuard, backupJournal, backupMigrations} {
		if !seen[name] {
			return fmt.Errorf("verify backup %s: %w: %s is missing", path, errBadBackup, name)
		}
	}
	return nil
}

// readable decodes a file as its user would.
func (b *backups) readable(path, name string, raw []byte) error {
	switch name {
	case backupGuard:
		return guard.CheckExport(raw)
	case backupJournal:
		return swap.CheckJournal(raw)
	case backupMigrations:
		_, err := migrate.Verify(filepath.Join(path, name))
		return err
	}
	return nil
}
