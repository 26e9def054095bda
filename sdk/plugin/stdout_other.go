//go:build !linux

package plugin

import "os"

// replaceStdout makes os.Stdout the pipe, and returns the output that it was. Prints that go around os.Stdout are not
// caught here.
func replaceStdout(pipe *os.File) (*os.File, error) {
	node := os.Stdout
	os.Stdout = pipe
	return node, nil
}
