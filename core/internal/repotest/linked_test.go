package repotest_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite cmd/alys/depaware.txt")

// What the node links is a decision: a new module or package of ours shows in the diff of this list.
func TestLinkedPackages(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		`{{if not .Standard}}{{if .Module}}{{if .Module.Main}}{{.ImportPath}}{{else}}{{.Module.Path}}{{end}}{{end}}{{end}}`, module+"/cmd/alys").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	want := "Packages of alys and modules of others that cmd/alys links.\n\n" + strings.Join(slices.Compact(lines), "\n") + "\n"
	path := filepath.Join(root, "cmd/alys/depaware.txt")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("cmd/alys links something else (-listed +linked); if that is wanted, run with -update and write the dependency into core/decisions:\n%s", diff)
	}
}
