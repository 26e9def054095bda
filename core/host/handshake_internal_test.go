package host

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func FuzzHandshake(f *testing.F) {
	cert := strings.Repeat("A", 100)
	f.Add([]byte("1|1|unix|/run/x|grpc|" + cert + "\n"))
	f.Add([]byte("||||||"))
	f.Add([]byte("1|1|unix|/run/../etc/x|grpc|" + cert))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := readHandshake(bufio.NewReader(bytes.NewReader(raw)), 512)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		if len(h.line) > 512 {
			t.Fatalf("read %d bytes", len(h.line))
		}
		if h.check("/run") == nil && !strings.HasPrefix(h.line, "1|1|unix|") {
			t.Fatalf("accepted %q", h.line)
		}
	})
}

func TestAHandshakeIsAcceptedOnlyInFull(t *testing.T) {
	cert := strings.Repeat("A", 100)
	for _, c := range []struct {
		name, line string
		want       error
	}{
		{"a good line", "1|1|unix|/run/x|grpc|" + cert, nil},
		{"a good line of a newer plugin", "1|1|unix|/run/x|grpc|" + cert + "|true", nil},
		{"another core protocol", "2|1|unix|/run/x|grpc|" + cert, ErrHandshake},
		{"no certificate", "1|1|unix|/run/x|grpc|", ErrHandshake},
		{"a socket that climbs out", "1|1|unix|/run/../etc/x|grpc|" + cert, ErrHandshake},
		{"a network that anyone on the machine can reach", "1|1|tcp|127.0.0.1:1234|grpc|" + cert, ErrHandshake},
		{"a version that is no number", "1|one|unix|/run/x|grpc|" + cert, ErrProtocolVersion},
	} {
		if err := (handshake{line: c.line}).check("/run"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}
