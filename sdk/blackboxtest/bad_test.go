package blackboxtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/sdk/blackboxtest"
)

// Variables of the test's second process: which plugin it tests, and how.
const (
	badPath   = "ALYS_BLACKBOX_PATH"
	badConfig = "ALYS_BLACKBOX_CONFIG"
	badCall   = "ALYS_BLACKBOX_CALL"
	badKeeps  = "ALYS_BLACKBOX_KEEPS_NOTHING"
)

// TestSubject runs the suite on the plugin that the environment names. It is started by the other tests only.
func TestSubject(t *testing.T) {
	path := os.Getenv(badPath)
	if path == "" {
		t.Skip("run by the other tests")
	}
	call, err := time.ParseDuration(os.Getenv(badCall))
	if err != nil {
		t.Fatal(err)
	}
	blackboxtest.Run(t, blackboxtest.Options{
		Path: path, ConfigJSON: []byte(os.Getenv(badConfig)), KeepsNothing: os.Getenv(badKeeps) != "",
		CallTimeout: call, StartTimeout: 3 * call,
	})
}

// bad lists plugins that break one rule each, the row that must turn red, and a part of what it must say.
func bad() []struct{ fault, row, says string } {
	return []struct{ fault, row, says string }{
		{"garbage", "handshake", "Starting up, please wait"},
		{"silent", "handshake", "timeout while waiting for plugin to start"},
		{"elsewhere", "handshake", "PLUGIN_UNIX_SOCKET_DIR"},
		{"quiet", "by-hand", "exit code 0"},
		{"anykind", "wrong-kind", "it makes the handshake"},
		{"future", "versions", "it takes 999"},
		{"moody", "describe", "the same description each time"},
		{"unversioned", "describe", "a semantic version"},
		{"undocumented", "schema", "a sentence on every argument"},
		{"open", "schema", "an argument that holds a secret is sensitive"},
		{"credulous", "bad-config", "no finding"},
		{"half", "bad-config", "Configure refuses what Validate refuses"},
		{"pathless", "bad-config", "a finding names the argument"},
		{"lost", "bad-config", "begins with an argument or a block of the schema"},
		{"fragile", "bad-config", "not with an error of the call"},
		{"eager", "probe", "the data folder is not touched"},
		{"opens", "probe", "no file is open for writing"},
		{"bare", "lifecycle", "before Configure Keys answers that the plugin is not configured"},
		{"bare", "lifecycle", "a second Configure is refused"},
		{"lingers", "lifecycle", "it ends when go-plugin's controller is asked"},
		{"refuses", "lifecycle", "with a valid configuration it comes up"},
		{"singleton", "double-start", "with a valid configuration it comes up"},
		{"hangs", "deadlines", "Keys is answered within"},
		{"stuck", "deadlines", "no call goes on when its caller is gone"},
		{"bare", "sigterm", "are ignored until Drain"},
		{"wrapped", "sigstop", "a frozen process does not answer Health"},
		{"small", "big-message", "a request of 32 MiB is answered with findings"},
		{"narrow", "big-message", "a request of 32 MiB is answered with findings"},
		{"parrot", "big-message", "a finding is a line for a person"},
		{"forgetful", "kill-9", "the guard still refuses"},
		{"stale", "kill-9", "another process runs on"},
		{"bare", "orphan", "it drains and ends by itself"},
		{"plainlog", "logs", "not JSON: configured"},
		{"telltale", "logs", `the value of "password" is there`},
		{"escapes", "logs", `the value of "password" is there`},
		{"nested", "logs", `the value of "login.token" is there`},
		{"noise", "stdout", `among them "configured"`},
		{"leaky", "leaks", "leave no file descriptor open"},
		{"litters", "leaks", "it leaves no temporary file"},
		{"strays", "leaks", "stray.log"},
		{"breeds", "leaks", "sleep 3600) still runs"},
		{"forges", "contract/an_approval", "does not verify"},
		{"lies", "contract/a_built_payload_is_imported", "INVALID"},
		{"idle", "contract/good_peers", "the strategy stalled"},
		{"needs", "contract", `not run: needs config: the argument "password" is required`},
		{"locked", "contract", "not run: needs config: it comes up locked"},
		{"keyless", "contract", "not run: needs config: the signer holds no approval key"},
	}
}

// patience is how long a call may take where the plugin answers, and where the point is that it does not.
func patience(fault, row string) string {
	if slices.Contains([]string{"silent", "lingers", "hangs", "stuck", "idle", "breeds"}, fault) || row == "orphan" {
		return "4s"
	}
	return "20s"
}

func TestBadPluginsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := compiled(t)
	for _, b := range bad() {
		t.Run(b.fault+" "+b.row, func(t *testing.T) {
			t.Parallel() // mostly they wait
			config := `{"password":"correct horse","count":1}`
			switch b.fault {
			case "needs":
				config = `{"count":1}`
			case "escapes":
				config = `{"password":"correct <\"horse\">","count":1}`
			case "nested":
				config = `{"login":[{"token":"battery"},{"token":"staple"}]}`
			case "lies", "idle":
				config = `{}`
			}
			out, failed := suite(t, filepath.Join(dir, "bad-"+b.fault), b.row, config, patience(b.fault, b.row))
			row, _, _ := strings.Cut(b.row, "/")
			if !slices.Contains(failed, row) {
				t.Errorf("the row %s passes", b.row)
			}
			if !strings.Contains(out, b.says) {
				t.Errorf("it does not say %q", b.says)
			}
			if !strings.Contains(out, "README.md#"+row) && row != "contract" {
				t.Error("it does not say where the row is explained")
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// TestEveryRowWasSeenRed holds the table above to the rows that there are.
func TestEveryRowWasSeenRed(t *testing.T) {
	for _, r := range blackboxtest.Rows() {
		if !slices.ContainsFunc(bad(), func(b struct{ fault, row, says string }) bool {
			return b.row == r.ID || strings.HasPrefix(b.row, r.ID+"/")
		}) {
			t.Errorf("no bad plugin turns the row %s red", r.ID)
		}
	}
}

// TestGoodPluginsPass runs every row on the plugins in memory of the kits.
func TestGoodPluginsPass(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := compiled(t)
	for kind, config := range map[string]string{"signer": `{"password":"correct horse","count":1}`, "engine": `{}`, "sync": `{}`} {
		t.Run(kind, func(t *testing.T) {
			t.Setenv(badKeeps, "1")
			if out, failed := suite(t, filepath.Join(dir, "good-"+kind), "", config, "20s"); len(failed) > 0 {
				t.Errorf("red: %v\n%s", failed, out)
			}
		})
	}
}

// TestReadmeExplainsEveryRow holds the page to the rows.
func TestReadmeExplainsEveryRow(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := regexp.MustCompile(`(?m)^### (\S+)$`).FindAllStringSubmatch(string(page), -1)
	var got, want []string
	for _, h := range headings {
		got = append(got, h[1])
	}
	for _, r := range blackboxtest.Rows() {
		want = append(want, r.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("README.md explains %v, the rows are %v", got, want)
	}
}

// TestHardenedPluginIsSeenByRootOnly is of a plugin that closes itself to other processes of its user, as signers do: a
// suite that cannot look must not call it clean.
func TestHardenedPluginIsSeenByRootOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("this system has no /proc")
	}
	open, err := os.MkdirTemp("", "alys") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(open) })
	program, path := filepath.Join(open, "suite"), filepath.Join(open, "bad-hardened")
	for to, from := range map[string]string{program: os.Args[0], path: filepath.Join(compiled(t), "plugin")} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, raw, 0o755); err != nil { // a program for another user
			t.Fatal(err)
		}
	}
	if err := os.Chmod(open, 0o755); err != nil { // for another user
		t.Fatal(err)
	}
	anybody := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		anybody.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	const config = `{"password":"correct horse","count":1}`
	for _, row := range []string{"probe", "leaks"} {
		out, failed := suiteAs(t, anybody, program, path, row, config, "20s")
		if !slices.Contains(failed, row) || !strings.Contains(out, "not run: run the suite as root") {
			t.Errorf("%s has run as any user:\n%s", row, out)
		}
		if os.Geteuid() != 0 {
			continue
		}
		if out, failed := suite(t, path, row, config, "20s"); len(failed) > 0 {
			t.Errorf("%s fails as root:\n%s", row, out)
		}
	}
}

// suite runs one row, or all, in a process of its own, and gives the rows that failed.
func suite(t *testing.T, path, row, config, call string) (out string, failed []string) {
	t.Helper()
	return suiteAs(t, nil, os.Args[0], path, row, config, call)
}

// suiteAs is suite as another user, who may not reach the test's own program.
func suiteAs(t *testing.T, as *syscall.SysProcAttr, program, path, row, config, call string) (out string, failed []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.v", "-test.timeout=10m", "-test.run=^TestSubject$/"+row)
	cmd.SysProcAttr = as
	if as != nil {
		cmd.Dir = filepath.Dir(program)
	}
	cmd.Env = append(os.Environ(), badPath+"="+path, badConfig+"="+config, badCall+"="+call)
	raw, err := cmd.CombinedOutput()
	for _, m := range regexp.MustCompile(`(?m)^    --- FAIL: TestSubject/(\S+)`).FindAllStringSubmatch(string(raw), -1) {
		failed = append(failed, m[1])
	}
	if (err != nil) != (len(failed) > 0) {
		t.Errorf("the process ends with %v, and the rows %v have failed:\n%s", err, failed, raw)
	}
	return string(raw), failed
}

// compiled is a folder with the bad plugin under each of its names.
func compiled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "plugin")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./testdata/bad").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	names := []string{"good-signer", "good-engine", "good-sync"}
	for _, b := range bad() {
		names = append(names, "bad-"+b.fault)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if err := os.Symlink(binary, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// A wrapper that does not become the plugin: the process that the node freezes and kills is not the one that serves.
	wrapper := filepath.Join(dir, "bad-wrapped")
	script := "#!/bin/sh\n'" + filepath.Join(dir, "good-signer") + "'\nexit $?\n"
	if err := os.Remove(wrapper); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil { // a program
		t.Fatal(err)
	}
	return dir
}
