package plugin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/hashicorp/go-hclog"
)

// maxPrinted bounds one printed line, in bytes; a longer one is logged in pieces.
const maxPrinted = 64 << 10

// handshakeLine is the line that tells the node where the plugin listens: core protocol, protocol, network, address,
// transport, certificate.
var handshakeLine = regexp.MustCompile(`^\d+\|\d+\|(unix|tcp)\|[^|]+\|grpc\|`)

// forward reads what this process prints. The handshake's line, once, goes to the node; everything else is logged.
func forward(printed io.Reader, node io.Writer, log hclog.Logger) {
	r := bufio.NewReaderSize(printed, maxPrinted)
	sent := false
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case !sent && handshakeLine.Match(line):
			sent = true
			if _, err := node.Write(line); err != nil {
				log.Error("cannot tell the node where the plugin listens", "error", err)
			}
		case len(line) > 0:
			log.Info("printed to the standard output", "text", string(trimNewline(line)))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func trimNewline(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}

// guardStdout puts a pipe in place of the standard output, for every later print of this process, its libraries and its
// children. The node reads one line there, and a print before that line would make the plugin unusable. go-plugin
// replaces os.Stdout once more after the handshake and forwards that to the node by itself.
func guardStdout(log hclog.Logger) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open a pipe: %w", err)
	}
	node, err := replaceStdout(w)
	if err != nil {
		return err
	}
	go forward(r, node, log)
	return nil
}
