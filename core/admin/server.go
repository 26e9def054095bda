package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/internal/serve"
)

// MaxSocketPath is the longest path that a unix socket may have on Linux, in bytes.
const MaxSocketPath = 107

// maxRequestBytes limits a request.
const maxRequestBytes = 16 << 20

// ErrSocketPath means that the socket's path is too long for the kernel.
var ErrSocketPath = errors.New("socket path is too long")

// Node is what the operator's commands need of a node. An *Error keeps its code and hint; another error becomes internal.
type Node interface {
	Status(ctx context.Context) (Status, error)
	Slots(ctx context.Context) (Slots, error)
	Plan(ctx context.Context, s Source) (PlanResponse, error)
	Apply(ctx context.Context, r ApplyRequest, progress func(Progress)) (string, error)
	Rollback(ctx context.Context, r RollbackRequest, progress func(Progress)) (string, error)
	Migration(ctx context.Context, r MigrationRequest) (MigrationResponse, error)
	GuardExport(ctx context.Context) (json.RawMessage, error)
	GuardImport(ctx context.Context, raw json.RawMessage) (GuardImportResponse, error)
	Unlock(ctx context.Context, r UnlockRequest) error
	CreateKey(ctx context.Context, r CreateKeyRequest) (KeyStatus, error)
	ExportKey(ctx context.Context, r ExportKeyRequest) (ExportKeyResponse, error)
	Bencher
	Archive
}

// Server serves the operator's API on a unix socket.
type Server struct {
	*serve.Server
	node Node
}

// NewServer listens on the socket at path, which it makes with mode 0600. A socket that a dead node left is replaced;
// the caller holds the data folder's lock, so a live one cannot be there. panicked counts requests that panicked; nil:
// nobody counts. Run serves until its context ends; after an error it may be run again.
func NewServer(path string, node Node, panicked func(), log hclog.Logger) (*Server, error) {
	if len(path) > MaxSocketPath {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d: use a shorter data_dir or set node.admin_socket", ErrSocketPath, path, len(path), MaxSocketPath)
	}
	s := &Server{node: node}
	var err error
	s.Server, err = serve.New(serve.Options{
		Name: "operators on " + path, Listen: func() (net.Listener, error) { return listenPrivate(path) }, Handler: s.routes(),
		Panicked: panicked, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// listenPrivate makes the socket under a name of its own, closes it to others and then gives it its name, so that there
// is no instant at which another user could connect.
func listenPrivate(path string) (net.Listener, error) {
	if err := ignoreNotExist(os.Remove(path)); err != nil {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%d.s", os.Getpid()))
	_ = os.Remove(temp)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temp, 0o600), os.Rename(temp, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("make the socket %s: %w", path, err), l.Close(), os.Remove(temp))
	}
	return &unlinking{l, path}, nil
}

type unlinking struct {
	net.Listener
	path string
}

// Close removes the socket's file too.
func (u *unlinking) Close() error {
	return errors.Join(u.Listener.Close(), ignoreNotExist(os.Remove(u.path)))
}

func ignoreNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) { reply(w, call(r, s.node.Status)) })
	mux.HandleFunc("GET /v1/slots", func(w http.ResponseWriter, r *http.Request) { reply(w, call(r, s.node.Slots)) })
	mux.HandleFunc("POST /v1/plan", func(w http.ResponseWriter, r *http.Request) { reply(w, with(r, s.node.Plan)) })
	mux.HandleFunc("POST /v1/apply", func(w http.ResponseWriter, r *http.Request) { stream(w, r, s.node.Apply) })
	mux.HandleFunc("POST /v1/rollback", func(w http.ResponseWriter, r *http.Request) { stream(w, r, s.node.Rollback) })
	mux.HandleFunc("POST /v1/migrations", func(w http.ResponseWriter, r *http.Request) { reply(w, with(r, s.node.Migration)) })
	mux.HandleFunc("GET /v1/guard", func(w http.ResponseWriter, r *http.Request) { reply(w, call(r, s.node.GuardExport)) })
	mux.HandleFunc("POST /v1/guard", func(w http.ResponseWriter, r *http.Request) { reply(w, with(r, s.node.GuardImport)) })
	mux.HandleFunc("POST /v1/keys", func(w http.ResponseWriter, r *http.Request) { reply(w, with(r, s.node.CreateKey)) })
	mux.HandleFunc("POST /v1/keys/export", func(w http.ResponseWriter, r *http.Request) { reply(w, with(r, s.node.ExportKey)) })
	mux.HandleFunc("POST /v1/unlock", func(w http.ResponseWriter, r *http.Request) {
		reply(w, with(r, func(ctx context.Context, u UnlockRequest) (struct{}, error) { return struct{}{}, s.node.Unlock(ctx, u) }))
	})
	mux.HandleFunc("POST /v1/bench/sign", s.benchSign)
	mux.HandleFunc("GET /v1/checkpoints", s.checkpoints)
	mux.HandleFunc("POST /v1/checkpoints/verify", s.checkChain)
	return mux
}

// outcome is a value or an error, ready to be written.
type outcome struct {
	value any
	err   error
}

func call[T any](r *http.Request, f func(context.Context) (T, error)) outcome {
	v, err := f(r.Context())
	return outcome{v, err}
}

func with[In, Out any](r *http.Request, f func(context.Context, In) (Out, error)) outcome {
	in, err := decode[In](r)
	if err != nil {
		return outcome{nil, err}
	}
	v, err := f(r.Context(), in)
	return outcome{v, err}
}

func decode[T any](r *http.Request) (T, error) {
	var v T
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxRequestBytes))
	if err != nil {
		return v, &Error{Code: "invalid", Message: fmt.Sprintf("read request: %v", err)}
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, &Error{Code: "invalid", Message: fmt.Sprintf("decode request: %v", err)}
	}
	return v, nil
}

func reply(w http.ResponseWriter, o outcome) {
	w.Header().Set("Content-Type", "application/json")
	if o.err != nil {
		e := asError(o.err)
		w.WriteHeader(httpStatus(e.Code))
		o.value = map[string]*Error{"error": e}
	}
	_ = json.NewEncoder(w).Encode(o.value)
}

// stream runs f and writes its progress as one JSON object a line; the last has Done.
func stream[In any](w http.ResponseWriter, r *http.Request, f func(context.Context, In, func(Progress)) (string, error)) {
	in, err := decode[In](r)
	if err != nil {
		reply(w, outcome{nil, err})
		return
	}
	write := lineWriter[Progress](w)
	result, err := f(r.Context(), in, write)
	last := Progress{Done: true, Outcome: result}
	if err != nil {
		last.Error = asError(err)
	}
	write(last)
}

// lineWriter answers with one JSON object a line. A client that has gone is no reason to stop what it asked for.
func lineWriter[T any](w http.ResponseWriter) func(T) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	return func(v T) {
		_ = enc.Encode(v)
		_ = http.NewResponseController(w).Flush()
	}
}

func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: "internal", Message: err.Error()}
}

func httpStatus(code string) int {
	switch code {
	case "invalid":
		return http.StatusBadRequest
	case "conflict":
		return http.StatusConflict
	case "refused":
		return http.StatusForbidden
	case "unknown":
		return http.StatusNotFound
	case "unavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
