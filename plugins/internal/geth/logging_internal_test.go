package geth

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/log"
	"github.com/hashicorp/go-hclog"
)

func TestLogOfGeth(t *testing.T) {
	say := func(l log.Logger) {
		l = l.With("shared", 1)
		l.Trace("traced")
		l.Debug("debugged")
		l.Info("Chain head was updated", "number", 7, "hash", common.Hash{31: 1})
		l.Warn("P2P server will be useless, neither dialing nor listening")
		l.Warn("careful", "why", "because")
		l.Error("broken")
	}
	for _, tc := range []struct {
		name    string
		verbose bool
		level   hclog.Level
		want    []string
	}{
		{"warnings and errors", false, hclog.Info, []string{"[WARN]  geth: careful: shared=1 why=because", "[ERROR] geth: broken: shared=1"}},
		{"info as debug", true, hclog.Debug, []string{
			"[DEBUG] geth: Chain head was updated: shared=1 number=7 hash=0x0000000000000000000000000000000000000000000000000000000000000001",
			"[DEBUG] geth: P2P server will be useless, neither dialing nor listening: shared=1",
			"[WARN]  geth: careful: shared=1 why=because", "[ERROR] geth: broken: shared=1",
		}},
		{"the logger's own level", true, hclog.Error, []string{"[ERROR] geth: broken: shared=1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			sink := hclog.New(&hclog.LoggerOptions{Name: "geth", Output: &out, Level: tc.level, DisableTime: true})
			from := log.LevelWarn
			if tc.verbose {
				from = log.LevelInfo
			}
			say(log.NewLogger(logHandler{log: sink, from: from}))
			if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}
