package geth

import (
	"context"
	"log/slog"
	"strings"

	"github.com/ethereum/go-ethereum/log"
	"github.com/hashicorp/go-hclog"
)

// routeLogs sends geth's own warnings and errors to l and, when verbose, its info too. geth reports every block at info
// several times over, which is debug for an operator of alys, and writing it costs more than executing an empty block.
func routeLogs(l hclog.Logger, verbose bool) log.Logger {
	from := log.LevelWarn
	if verbose {
		from = log.LevelInfo
	}
	logger := log.NewLogger(logHandler{log: l, from: from})
	log.SetDefault(logger)
	return logger
}

// logHandler is a slog.Handler in front of an hclog.Logger.
type logHandler struct {
	log   hclog.Logger
	from  slog.Level // what is below is dropped
	attrs []any
}

func level(l slog.Level) hclog.Level {
	switch {
	case l >= log.LevelError:
		return hclog.Error
	case l >= log.LevelWarn:
		return hclog.Warn
	case l >= log.LevelInfo:
		return hclog.Debug
	}
	return hclog.Trace
}

// expected reports whether a warning of geth is the ordinary course of things here: there is no network on purpose, the
// host sends again what it is not sure of, and geth's consensus layer is not a beacon client.
func expected(message string) bool {
	for _, prefix := range []string{
		"P2P server will be useless", "Ignoring already known beacon payload", "Ignoring payload with missing parent",
		"Beacon client online", "Post-merge network, but no beacon client",
	} {
		if strings.HasPrefix(message, prefix) {
			return true
		}
	}
	return false
}

// value keeps numbers and truth values and writes the rest as geth would.
func value(v slog.Value) any {
	v = v.Resolve()
	if k := v.Kind(); k == slog.KindBool || k == slog.KindInt64 || k == slog.KindUint64 || k == slog.KindFloat64 {
		return v.Any()
	}
	return v.String()
}

// Enabled implements slog.Handler.
func (h logHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.from && level(l) >= h.log.GetLevel()
}

// Handle implements slog.Handler.
func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	args := append([]any(nil), h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		args = append(args, a.Key, value(a.Value))
		return true
	})
	l := level(r.Level)
	if l == hclog.Warn && expected(r.Message) {
		l = hclog.Debug
	}
	h.log.Log(l, r.Message, args...)
	return nil
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := append([]any(nil), h.attrs...)
	for _, a := range attrs {
		out = append(out, a.Key, value(a.Value))
	}
	return logHandler{log: h.log, from: h.from, attrs: out}
}

// WithGroup implements slog.Handler; geth uses no groups.
func (h logHandler) WithGroup(string) slog.Handler { return h }
