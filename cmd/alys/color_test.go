package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what is written to the second file is read from the first.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

func TestColourOnATerminalUnlessNoColor(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.hcl")
	if err := os.WriteFile(bad, []byte("node {"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  []string
		want bool
	}{
		{"a terminal gets colour", []string{"TERM=xterm"}, true},
		{"NO_COLOR turns it off", []string{"TERM=xterm", "NO_COLOR=1"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			screen, tty := terminal(t)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(built, "bin", "alys"), "validate", "-c", bad)
			cmd.Env, cmd.Stdout, cmd.Stderr = tt.env, tty, tty
			err := cmd.Run()
			tty.Close()
			raw, _ := io.ReadAll(screen) // ends with an error when the other side is closed
			if cmd.ProcessState.ExitCode() != 1 {
				t.Fatalf("got %v, want exit code 1\n%s", err, raw)
			}
			if got := strings.Contains(string(raw), "\x1b["); got != tt.want {
				t.Errorf("colour: got %v, want %v\n%q", got, tt.want, raw)
			}
		})
	}
}
