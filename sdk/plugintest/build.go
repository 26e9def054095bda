package plugintest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Build compiles a main package and returns the absolute path of the binary, in a folder that is removed at cleanup.
// pkgPath is an import path, or a path relative to the test's folder that starts with a dot.
func Build(t testing.TB, pkgPath string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin") // not pkgPath's last part: that may be a dot
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, pkgPath)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkgPath, err, out)
	}
	return path
}
