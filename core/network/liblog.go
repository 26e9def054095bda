package network

import (
	"context"
	"log/slog"

	"github.com/hashicorp/go-hclog"
	"github.com/libp2p/go-libp2p/gologshim"
)

// CaptureLogs sends what libp2p logs to a logger, at debug: what it calls an error is mostly something that a peer did.
// Without it the library writes to standard error by itself. Its loggers belong to the process, so this is called once,
// before the first Open.
func CaptureLogs(log hclog.Logger) { gologshim.SetDefaultHandler(&slogHandler{log: log}) }

// slogHandler writes records to an hclog logger.
type slogHandler struct {
	log   hclog.Logger
	attrs []any
}

// Enabled implements slog.Handler.
func (h *slogHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.log.IsDebug() || h.log.IsTrace()
}

// Handle implements slog.Handler.
func (h *slogHandler) Handle(_ context.Context, r slog.Record) error {
	args := append([]any(nil), h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		args = append(args, a.Key, a.Value.String())
		return true
	})
	if r.Level >= slog.LevelWarn {
		h.log.Debug(r.Message, args...)
	} else {
		h.log.Trace(r.Message, args...)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	args := append([]any(nil), h.attrs...)
	for _, a := range attrs {
		args = append(args, a.Key, a.Value.String())
	}
	return &slogHandler{h.log, args}
}

// WithGroup implements slog.Handler. Groups are left out: the library uses none.
func (h *slogHandler) WithGroup(string) slog.Handler { return h }
