package network

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheIdentityIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p2p.key")
	first, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	second, err := LoadIdentity(path)
	if err != nil || second.ID() != first.ID() || !strings.HasPrefix(first.ID(), "12D3Koo") {
		t.Errorf("identities %s and %s, %v", first.ID(), second.ID(), err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAnIdentityThatOthersCanReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p2p.key")
	if _, err := LoadIdentity(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadIdentity(path)
		wantError(t, err, ErrIdentity)
		if err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o: %v does not say what to do", mode, err)
		}
	}
}

func TestABrokenIdentityIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"empty": "", "no base64": "!", "no key": "aGVsbG8="} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadIdentity(path)
		wantError(t, err, ErrIdentity)
		if err != nil && content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("%s: the content is in the error: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Errorf("%s: the file was changed", name)
		}
	}
	_, err := LoadIdentity(dir)
	wantError(t, err, ErrIdentity)
	_, err = LoadIdentity(filepath.Join(dir, "nowhere", "p2p.key"))
	wantError(t, err, ErrIdentity)
}
