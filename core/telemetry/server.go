package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Readiness says whether the node does its work now, and if not, why.
type Readiness struct {
	Ready   bool              `json:"ready"`
	Reasons []string          `json:"reasons,omitempty"`
	Parts   map[string]string `json:"parts,omitempty"`
}

// Server serves /metrics, /healthz (the process answers), /readyz (it does its work) and what the caller adds.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// NewServer listens on address, so that a port in use is an error at start and not later. extra may be nil.
func NewServer(address string, m *Metrics, ready func() Readiness, extra http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics on %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeReadiness(w, ready()) })
	if extra != nil {
		mux.Handle("/", extra)
	}
	return &Server{l, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10}}, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// Close stops listening, also when Run was never called. It is idempotent.
func (s *Server) Close() error {
	err := s.http.Close()
	if again := s.listener.Close(); !errors.Is(again, net.ErrClosed) {
		err = errors.Join(err, again)
	}
	if err != nil {
		return fmt.Errorf("close the metrics listener: %w", err)
	}
	return nil
}

func writeReadiness(w http.ResponseWriter, r Readiness) {
	w.Header().Set("Content-Type", "application/json")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r)
}
