package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/migrate"
)

// Migration is the last run of a migration; ok is false when the node does not answer or knows none.
func (n *Node) Migration(name string) (s migrate.Status, ok bool) {
	n.t.Helper()
	return s, n.migrations(admin.MigrationStatus, name, &s) == nil
}

// MigrationHistory is the log of a migration's runs, oldest first.
func (n *Node) MigrationHistory(name string) (all []migrate.Record) {
	n.t.Helper()
	if err := n.migrations(admin.MigrationHistory, name, &all); err != nil {
		n.t.Fatal(err)
	}
	return all
}

// migrations asks the node what it says of a migration.
func (n *Node) migrations(ask, name string, into any) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), 5*time.Second)
	defer cancel()
	a, err := admin.NewClient(filepath.Join(n.Dir, "alys.sock")).Migration(ctx, admin.MigrationRequest{Ask: ask, Name: name})
	if err != nil {
		return err
	}
	return json.Unmarshal(a.Data, into)
}

// lies is the file that the lying engine reads.
func (n *Node) lies() string { return filepath.Join(n.Dir, "lies") }

// Lie lets the lying engine lie from now on; "" lets it say the truth again.
func (n *Node) Lie(lie string) {
	n.t.Helper()
	if err := os.Remove(n.lies() + ".told"); err != nil && !errors.Is(err, os.ErrNotExist) {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(n.lies()+".new", []byte(lie), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(n.lies()+".new", n.lies()); err != nil { // never half of a word
		n.t.Fatal(err)
	}
}

// Lied is when the lying engine first lied since Lie; false when it has not yet.
func (n *Node) Lied() (at time.Time, ok bool) {
	raw, err := os.ReadFile(n.lies() + ".told")
	if err != nil {
		return at, false
	}
	nanos, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	return time.Unix(0, nanos), err == nil
}
