package plugintest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/plugintest"
)

// TestREADME does what sdk/README.md tells an author to do, in a module of its own.
func TestREADME(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "sdk", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(go|sh)\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of Go and shell in the README, want 3: update this test", len(blocks))
	}
	dir := authorsModule(t, root)
	write(t, filepath.Join(dir, "main.go"), blocks[0][2])
	write(t, filepath.Join(dir, "main_test.go"), blocks[1][2])

	var out []byte
	for line := range strings.SplitSeq(strings.TrimSpace(string(blocks[2][2])), "\n") {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err = cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	var described struct{ Kind, Name string }
	if err := json.Unmarshal(out, &described); err != nil || described.Kind != "signer" || described.Name != "file" {
		t.Errorf("describe prints %s (%v)", out, err)
	}
	startsAsAProcess(t, dir)
}

// authorsModule makes a module that requires this one.
func authorsModule(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	const ours = "github.com/alys-node/alys"
	mod = bytes.Replace(mod, []byte("module "+ours), []byte("module example.com/signer"), 1)
	mod = append(mod, "\nrequire "+ours+" v0.0.0\n\nreplace "+ours+" => "+root+"\n"...)
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.mod"), mod)
	write(t, filepath.Join(dir, "go.sum"), sum)
	return dir
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// startsAsAProcess runs what was built, with mutual TLS.
func startsAsAProcess(t *testing.T, dir string) {
	t.Helper()
	key := filepath.Join(dir, "authority.key")
	write(t, key, []byte(strings.Repeat("07", 32)))
	block, err := json.Marshal(map[string]string{"key_file": key})
	if err != nil {
		t.Fatal(err)
	}
	p := plugintest.Launch(t, plugintest.Options{
		Path: filepath.Join(dir, "alys-signer-file"), Kind: lifecycle.Signer, ConfigJSON: block,
	})
	keys, err := p.Client.Signer().Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Errorf("keys %v, %v", keys, err)
	}
	if p.Exited() {
		t.Error("the plugin has ended")
	}
}
