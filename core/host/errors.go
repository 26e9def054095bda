package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alys-node/alys/core/host/internal/supervise"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// What can be wrong with a command or with the process it becomes. An *Error carries one of them, with the place and
// what to do; ask with errors.Is.
var (
	// ErrNotFound means that the command does not exist.
	ErrNotFound = errors.New("plugin command not found")
	// ErrNotExecutable means that the file is a folder, may not be executed, or is no program.
	ErrNotExecutable = errors.New("plugin file is not executable")
	// ErrArchitecture means that the file is a program for another machine or operating system.
	ErrArchitecture = errors.New("plugin is built for another machine")
	// ErrNoExec means that the data folder is on a file system that forbids execution.
	ErrNoExec = errors.New("data folder does not allow execution")
	// ErrChecksum means that the file is not the one that alys.hcl pins.
	ErrChecksum = errors.New("plugin checksum does not match")
	// ErrNoChecksum means that a pin is required and there is none.
	ErrNoChecksum = errors.New("plugin has no checksum")
	// ErrNotStaged means that the data folder has no intact copy of the digest.
	ErrNotStaged = errors.New("plugin binary is not in the data folder")
	// ErrExited means that the process ended before it was ready.
	ErrExited = errors.New("plugin exited at start")
	// ErrHandshake means that the first line on stdout was not a plugin's.
	ErrHandshake = errors.New("plugin broke the handshake")
	// ErrWrongKind means that the binary is a plugin of another kind.
	ErrWrongKind = errors.New("plugin is of another kind")
	// ErrProtocolVersion means that host and plugin share no protocol version.
	ErrProtocolVersion = errors.New("plugin speaks another protocol version")
	// ErrStartTimeout means that the process did not become ready in time.
	ErrStartTimeout = errors.New("plugin did not become ready in time")
	// ErrConfigure means that the plugin did not accept its configuration.
	ErrConfigure = errors.New("plugin did not accept its configuration")
	// ErrUnhealthy means that the plugin reported failure, or stopped answering health questions.
	ErrUnhealthy = supervise.ErrUnhealthy
	// ErrSocketPath means that no folder for sockets with a short enough path could be made.
	ErrSocketPath = errors.New("path for plugin sockets is too long")
)

// Why an instance or a generation has no answer to give.
var (
	// ErrRestarting means that the plugin died and is being started again.
	ErrRestarting = errors.New("plugin is restarting")
	// ErrBroken means that the plugin died too often; the host tries again later.
	ErrBroken = errors.New("plugin is broken")
	// ErrStopped means that the plugin was stopped on purpose.
	ErrStopped = errors.New("plugin is stopped")
	// ErrCrashed means that the process ended without having been asked to.
	ErrCrashed = errors.New("plugin crashed")
	// ErrClosed means that the host itself is closed.
	ErrClosed = errors.New("plugin host is closed")
)

// Error is a failure of a plugin, told for an operator: which one, what, and what to do about it.
type Error struct {
	Kind   lifecycle.Kind // empty where only a command is known
	Label  string
	Err    error    // one of this package's errors
	Cause  error    // what lies below it; may be nil
	Detail string   // what and where
	Hint   string   // what to do
	Output []string // the last lines that the process printed on stderr
}

// Error is the whole story: plugin, what, cause, hint, last lines of output.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Kind != "" {
		fmt.Fprintf(&b, "plugin %q %q: ", e.Kind, e.Label)
	}
	b.WriteString(e.Err.Error())
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	if len(e.Output) > 0 {
		b.WriteString("\n  its last output:\n    " + strings.Join(e.Output, "\n    "))
	}
	return b.String()
}

// Unwrap makes errors.Is hold for the sentinel and for the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}
