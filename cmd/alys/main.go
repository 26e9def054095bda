// Command alys is the node and its operator's command line.
//
// `alys dev` starts a whole chain on one machine, `alys run` runs a node from alys.hcl; every other command talks to a
// running node over the socket in its data folder, or works on files.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alys-node/alys/core/config"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:])) //nolint:gocritic // the process ends, and its signals with it
}

// exitError ends the command with a code of its own; the text was already printed.
type exitError int

// Error says the code.
func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run executes one command line and gives the exit code: 0 done, 1 failed, 2 changes pending (plan --detailed-exitcode).
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(dashes(args))
	err := root.ExecuteContext(ctx)
	var code exitError
	var findings *config.DiagnosticsError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &findings): // of a plugin about its block: with the line of the file, as `alys validate` has it
		_ = config.WriteDiagnostics(os.Stderr, findings.Diagnostics, useColor(os.Stderr), width(os.Stderr))
		return 1
	}
	fmt.Fprintf(os.Stderr, "Error: %v\n", err)
	return 1
}
