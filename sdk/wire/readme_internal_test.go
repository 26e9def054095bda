package wire

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/alys-node/alys/sdk/lifecycle"
)

// codeNames are the codes of this package as the gRPC specification writes them.
var codeNames = map[codes.Code]string{
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Unavailable: "UNAVAILABLE", codes.Unimplemented: "UNIMPLEMENTED",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.NotFound: "NOT_FOUND", codes.Unauthenticated: "UNAUTHENTICATED",
	codes.OutOfRange: "OUT_OF_RANGE", codes.Aborted: "ABORTED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.InvalidArgument: "INVALID_ARGUMENT", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Canceled: "CANCELLED",
}

// The README tells authors in other languages every reason, its code, and whether the code alone is enough.
func TestREADMEHasEveryError(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.HasPrefix(cells[1], " `") {
			rows[strings.Join(cells[:4], "|")] = true
		}
	}
	if len(rows) != len(sentinels()) {
		t.Errorf("the README has %d errors, the code %d", len(rows), len(sentinels()))
	}
	for _, s := range sentinels() {
		alone := ""
		for _, kind := range lifecycle.Kinds() {
			c := Client{kind: kind}
			if errors.Is(c.decodeError("Call", status.Error(s.code, "")), s.err) {
				alone = "✓ "
			}
		}
		if row := fmt.Sprintf("| `%s` | `%s` | %s", s.reason, codeNames[s.code], alone); !rows[row] {
			t.Errorf("the README has no row %q", row)
		}
	}
}

// What else the README says in numbers and names.
func TestREADMEIsTrue(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(raw)), " ")
	want := []string{
		"`" + cookieValue + "`", fmt.Sprintf("1|%d|unix|", ProtocolVersion), "domain `" + ErrorDomain + "`",
		fmt.Sprintf("messages of up to %d MiB", MaxMessageBytes>>20), fmt.Sprintf("at most %d KiB of UTF-8", maxErrorText>>10),
		fmt.Sprintf("pings every %.0f seconds", (KeepaliveInterval / 3).Seconds()), fmt.Sprintf("sends one every %.0f.", KeepaliveInterval.Seconds()),
	}
	for _, kind := range lifecycle.Kinds() {
		want = append(want, "`"+Handshake(kind).MagicCookieKey+"`")
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the README does not say %q", w)
		}
	}
}
