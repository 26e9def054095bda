package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/alys-node/alys/sdk/wire"
)

// minCertificate is the shortest field that go-plugin takes for a certificate.
const minCertificate = 50

// handshake is the one line that a plugin prints on stdout: CORE|VERSION|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE.
type handshake struct {
	line string
}

// readHandshake reads the first line, of at most limit bytes. io.EOF means that stdout ended without one.
func readHandshake(r *bufio.Reader, limit int) (handshake, error) {
	var b strings.Builder
	for b.Len() < limit {
		c, err := r.ReadByte()
		if err != nil || c == '\n' {
			if b.Len() == 0 && err != nil {
				return handshake{}, io.EOF
			}
			return handshake{line: strings.TrimSpace(b.String())}, nil
		}
		b.WriteByte(c)
	}
	return handshake{line: b.String()}, nil
}

// check judges the line before go-plugin acts on it. Sockets must lie below dir.
func (h handshake) check(dir string) error {
	parts := strings.Split(h.line, "|")
	if len(parts) < 4 {
		return &Error{
			Err: ErrHandshake, Detail: fmt.Sprintf("it printed %s on stdout", quote(h.line)),
			Hint: "a plugin must print nothing on stdout before plugin.Serve; logs belong on stderr",
		}
	}
	if core, err := strconv.Atoi(parts[0]); err != nil || core != goplugin.CoreProtocolVersion {
		return &Error{
			Err: ErrHandshake, Detail: fmt.Sprintf("it printed %s on stdout", quote(h.line)),
			Hint: "a plugin must print nothing on stdout before plugin.Serve; logs belong on stderr",
		}
	}
	if version, err := strconv.Atoi(parts[1]); err != nil || version != wire.ProtocolVersion {
		return &Error{
			Err: ErrProtocolVersion, Detail: fmt.Sprintf("it speaks version %s, this host version %d", quote(parts[1]), wire.ProtocolVersion),
			Hint: "install a release of the plugin for this version of alys",
		}
	}
	return h.checkTransport(parts, dir)
}

func (h handshake) checkTransport(parts []string, dir string) error {
	var why error
	switch {
	case len(parts) < 5 || parts[4] != string(goplugin.ProtocolGRPC):
		why = errors.New("it does not speak gRPC")
	case parts[2] != "unix":
		why = fmt.Errorf("it listens on network %s, not on a unix socket", quote(parts[2]))
	case filepath.Dir(filepath.Clean(parts[3])) != filepath.Clean(dir):
		why = fmt.Errorf("its socket %s is not in the folder that it was given (%s)", quote(parts[3]), dir)
	case len(parts) < 6 || len(parts[5]) <= minCertificate:
		why = errors.New("it gave no certificate, so the connection would not be private")
	default:
		return nil
	}
	return &Error{Err: ErrHandshake, Cause: why, Hint: builtWithSDK}
}

// quote shows what a stranger printed: quoted, cut to a readable length. What is no text is only called so.
func quote(s string) string {
	const most = 160
	odd := 0
	for _, r := range s {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			odd++
		}
	}
	if 4*odd > utf8.RuneCountInString(s) {
		return "bytes that are no text"
	}
	if len(s) > most {
		return strconv.Quote(s[:most]) + "…"
	}
	return strconv.Quote(s)
}
