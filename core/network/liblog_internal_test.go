package network

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestTheLibraryLogsToOurLoggerQuietly(t *testing.T) {
	CaptureLogs(hclog.NewNullLogger()) // of the process: whatever the library logs in these tests is about hostile peers
	for _, test := range []struct {
		level hclog.Level
		want  []string
	}{
		{hclog.Info, nil},
		{hclog.Debug, []string{"broken: logger=swarm2 peer=x"}},
		{hclog.Trace, []string{"broken: logger=swarm2 peer=x", "detail: logger=swarm2"}},
	} {
		var out bytes.Buffer
		log := slog.New(&slogHandler{log: hclog.New(&hclog.LoggerOptions{Output: &out, Level: test.level})}).With("logger", "swarm2").WithGroup("g")
		log.Error("broken", "peer", "x")
		log.Info("detail")
		if got := strings.Count(out.String(), "\n"); got != len(test.want) {
			t.Errorf("%s: %d lines: %s", test.level, got, out.String())
		}
		for _, w := range test.want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: %q is not in %s", test.level, w, out.String())
			}
		}
	}
}
