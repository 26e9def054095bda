package host_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/sdk/lifecycle"
)

func digestOf(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestABinaryIsCheckedCopiedAndRunFromTheCopy(t *testing.T) {
	dir, _ := plugins()
	raw, err := os.ReadFile(filepath.Join(dir, "tester"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(path, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	want := digestOf(t, path)
	b := open(t, func(c *host.Config) { c.RequireChecksum = true })
	bin, err := b.Stage(t.Context(), path, []string{"sha256:" + strings.Repeat("0", 64), "sha256:" + strings.ToUpper(want[7:])})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(bin.Path)
	if err != nil || info.Mode().Perm() != 0o500 || string(bin.Digest) != want || filepath.Dir(bin.Path) != filepath.Join(b.dataDir, "plugins") {
		t.Errorf("staged %+v with %v, %v", bin, info.Mode(), err)
	}

	// The file changes while the plugin runs, and then goes: a restart uses the copy.
	if err := os.WriteFile(path, []byte("#!/bin/false\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stage(t.Context(), path, []string{want}); !errors.Is(err, host.ErrChecksum) {
		t.Errorf("a changed file: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	again, err := b.StageDigest(t.Context(), bin.Digest)
	if err != nil || again != bin {
		t.Errorf("staged digest: %+v, %v", again, err)
	}
	g, err := b.Launch(t.Context(), tester(""), bin.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if exe, err := os.Readlink("/proc/" + itoa(g.PID) + "/exe"); err != nil || exe != bin.Path {
		t.Errorf("runs %s, %v", exe, err)
	}
}

func TestAWrongChecksumNamesBothDigestsAndCopiesNothing(t *testing.T) {
	b := open(t)
	pin := "sha256:" + strings.Repeat("ab", 32)
	_, err := b.Stage(t.Context(), "tester", []string{pin})
	dir, _ := plugins()
	for _, text := range []string{pin, digestOf(t, filepath.Join(dir, "tester")), "alys plugin pin"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error does not say %s: %v", text, err)
		}
	}
	if !errors.Is(err, host.ErrChecksum) {
		t.Errorf("error is %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Join(b.dataDir, "plugins")); len(entries) > 0 {
		t.Errorf("copied: %v", entries)
	}
	if _, err := b.Stage(t.Context(), "tester", []string{"md5:abc"}); !errors.Is(err, host.ErrChecksum) {
		t.Errorf("a pin that is none: %v", err)
	}
}

func TestOutsideDevelopmentAChecksumIsRequired(t *testing.T) {
	b := open(t, func(c *host.Config) { c.RequireChecksum = true })
	_, err := b.Stage(t.Context(), "tester", nil)
	if !errors.Is(err, host.ErrNoChecksum) || !strings.Contains(err.Error(), "alys plugin pin") {
		t.Errorf("error is %v", err)
	}
}

func TestADamagedCopyDoesNotRun(t *testing.T) {
	b := open(t)
	bin, err := b.Stage(t.Context(), "tester", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(bin.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(bin.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 5000); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Launch(t.Context(), tester(""), bin.Digest); !errors.Is(err, host.ErrNotStaged) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("launch: %v", err)
	}
	if _, err := b.Stage(t.Context(), "tester", nil); err != nil {
		t.Errorf("staging again did not repair it: %v", err)
	}
	for _, d := range []host.Digest{"", "sha256:00", "../../etc/passwd", host.Digest("sha256:" + strings.Repeat("00", 32))} {
		if _, err := b.StageDigest(t.Context(), d); !errors.Is(err, host.ErrNotStaged) {
			t.Errorf("digest %q: %v", d, err)
		}
	}
}

func TestACommandThatCannotRunIsExplained(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o700); err != nil {
		t.Fatal(err)
	}
	file("alys-signer-local", "x", 0o700)
	for _, c := range []struct {
		name, command string
		want          error
		text          []string
	}{
		{"a slip of the pen", "alys-signer-lokal", host.ErrNotFound, []string{`did you mean "alys-signer-local"?`, dir}},
		{"a name that nothing resembles", "x", host.ErrNotFound, []string{dir + " has: alys-signer-local"}},
		{"an absolute path that is not there", "/nowhere/at/all", host.ErrNotFound, []string{"/nowhere/at/all"}},
		{"a relative path", "./alys-signer-local", host.ErrNotFound, []string{"absolute path"}},
		{"a way out of the folder", "..", host.ErrNotFound, nil},
		{"nothing", "", host.ErrNotFound, nil},
		{"a folder", dir, host.ErrNotExecutable, []string{"a folder"}},
		{"a named pipe", pipe, host.ErrNotExecutable, []string{"a named pipe"}},
		{"a file that may not be executed", file("plain", "x", 0o600), host.ErrNotExecutable, []string{"chmod +x"}},
		{"a text", file("text", "hello\n", 0o700), host.ErrNotExecutable, []string{"#!"}},
		{"a script whose interpreter is missing", file("script", "#!/no/such/python3\n", 0o700), host.ErrNotExecutable, []string{"/no/such/python3 does not exist"}},
		{"a program for another machine", file("arm", foreignELF(), 0o700), host.ErrArchitecture, []string{"linux/aarch64"}},
		{"a program for Windows", file("exe", "MZ\x90\x00\x03", 0o700), host.ErrArchitecture, []string{"windows"}},
		{"a program for macOS", file("mach", "\xcf\xfa\xed\xfe\x07\x00", 0o700), host.ErrArchitecture, []string{"darwin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, func(h *host.Config) { h.PluginDir = dir })
			block := tester("")
			block.Command = c.command
			_, err := b.Probe(t.Context(), block)
			if !errors.Is(err, c.want) {
				t.Fatalf("error is %v, want %v", err, c.want)
			}
			for _, text := range append(c.text, `plugin "signer" "test"`) {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error does not say %q: %v", text, err)
				}
			}
			if strings.Contains(err.Error(), b.dataDir) {
				t.Errorf("error names the private copy, which the operator does not know: %v", err)
			}
		})
	}
	b := open(t, func(h *host.Config) { h.PluginDir = filepath.Join(dir, "none") })
	if _, err := b.Stage(t.Context(), "tester", nil); !errors.Is(err, host.ErrNotFound) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("without a plugin folder: %v", err)
	}
}

// foreignELF is the head of a program for 64-bit ARM (or, on ARM, for x86).
func foreignELF() string {
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	h[16], h[18], h[20], h[52] = 2, 183, 1, 64
	return string(h)
}

func TestAScriptIsAPluginToo(t *testing.T) {
	b := open(t)
	dir, _ := plugins()
	block := tester("")
	block.Command = script(t, "#!/bin/sh\nexec "+filepath.Join(dir, "tester")+"\n")
	g, err := b.launch(block)
	if err != nil {
		t.Fatal(err)
	}
	if err := call(t.Context(), g); err != nil {
		t.Error(err)
	}
}

func TestAProbeAsksAndTouchesNothing(t *testing.T) {
	b := open(t)
	block := tester("")
	p, err := b.Probe(t.Context(), block)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if p.Description.Name != "tester" || len(p.Schema.Attributes) != 1 || p.Schema.Attributes[0].Name != "path" || p.Diagnostics != nil {
		t.Errorf("probe found %+v %+v %v", p.Description, p.Schema, p.Diagnostics)
	}
	ds, _, err := p.Validate(t.Context(), []byte(`{"path":"bad"}`))
	if err != nil || !ds.HasErrors() || ds[0].Path[0] != "path" {
		t.Errorf("validate: %v, %v", ds, err)
	}
	ds, rs, err := p.Validate(t.Context(), []byte(`{"path":"/good"}`))
	if err != nil || ds.HasErrors() || len(rs) != 1 || rs[0] != (lifecycle.Resource{Kind: "path", Value: "/good"}) {
		t.Errorf("validate: %v, %v, %v", ds, rs, err)
	}
	_, rs, err = p.Validate(t.Context(), []byte(`{"path":"own"}`))
	folder := filepath.Join(b.dataDir, "state", "signer", "test")
	if err != nil || len(rs) != 1 || rs[0] != (lifecycle.Resource{Kind: "path", Value: folder}) {
		t.Errorf("a generation would hold its own folder, the probe says %v, %v", rs, err)
	}
	if _, err := os.Stat(filepath.Join(b.dataDir, "state")); !os.IsNotExist(err) {
		t.Errorf("a probe made the state folder: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if pids := descendants(b.dataDir); len(pids) > 0 {
		t.Errorf("processes left: %v", pids)
	}

	block.ConfigJSON = []byte(`{"path":"bad"}`)
	q, err := b.Probe(t.Context(), block)
	if err != nil {
		t.Fatal(err)
	}
	if !q.Diagnostics.HasErrors() {
		t.Errorf("the block's own config was not validated: %v", q.Diagnostics)
	}
	_ = q.Close()
}

func TestPruneKeepsWhatTheJournalNamesAndWhatRuns(t *testing.T) {
	b := open(t)
	running := b.supervise(tester(""), host.Hooks{})
	named := b.stage(host.Block{Command: script(t, "#!/bin/sh\n# named\n")})
	other := b.stage(host.Block{Command: script(t, "#!/bin/sh\n# other\n")})
	if err := b.Prune([]host.Digest{named}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.StageDigest(t.Context(), other); err != nil {
		t.Errorf("a copy that was staged since the prune before is gone: %v", err)
	}
	if err := b.Prune([]host.Digest{named}); err != nil {
		t.Fatal(err)
	}
	for d, want := range map[host.Digest]error{running.Digest: nil, named: nil, other: host.ErrNotStaged} {
		if _, err := b.StageDigest(t.Context(), d); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", d, err, want)
		}
	}
}
