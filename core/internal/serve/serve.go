// Package serve is an HTTP listener as a service of the node's supervision tree.
//
// It listens when it is made, so that a port in use is an error at start and not later. A request that panics costs its
// own answer and nothing else. When serving ends with an error, Run can be called again: it listens anew, on the address
// that it had.
package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/net/netutil"
)

// Limits of every listener: a slow or talkative client gets no more of the node than this.
const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 2 * time.Minute // between two requests of one connection
	maxHeaderBytes = 64 << 10
	defaultTimeout = 30 * time.Second
)

// Options configure a Server. Listen and Handler are required.
type Options struct {
	Name     string // who is served, for errors and logs: "wallets"
	Listen   func() (net.Listener, error)
	Handler  http.Handler
	Timeout  time.Duration // for a client to send a request's body, and to take each piece of an answer; 0: 30 s
	MaxConns int           // connections at once, the rest wait; 0: no limit
	Panicked func()        // counts requests that panicked; nil: nobody counts
	Log      hclog.Logger  // nil: no logs
}

// Server is the listener.
type Server struct {
	opt  Options
	addr net.Addr

	mu       sync.Mutex   // guards the rest
	listener net.Listener // nil after an error, until Run listens again
	server   *http.Server // while it runs
	closed   bool
}

// TCP listens on host:port. To listen again it takes the port that it got at first, also for port 0.
func TCP(address string) func() (net.Listener, error) {
	return func() (net.Listener, error) {
		l, err := net.Listen("tcp", address)
		if err == nil {
			address = l.Addr().String()
		}
		return l, err
	}
}

// New listens and serves nobody yet.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	l, err := o.listen()
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", o.Name, err)
	}
	return &Server{opt: o, listener: l, addr: l.Addr()}, nil
}

func (o *Options) listen() (net.Listener, error) {
	l, err := o.Listen()
	if err != nil || o.MaxConns <= 0 {
		return l, err
	}
	return netutil.LimitListener(l, o.MaxConns), nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.addr }

// Run serves until ctx ends or the server is closed (nil), or until the listener fails. It may be called again after an
// error.
func (s *Server) Run(ctx context.Context) error {
	l, server, err := s.open()
	if err != nil || server == nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err = server.Serve(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.server = nil, nil
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	_ = server.Close() // connections of a listener that failed: their requests get no answer any more
	return fmt.Errorf("serve %s: %w", s.opt.Name, err)
}

// open gives what Run serves with: nil when the server is closed.
func (s *Server) open() (net.Listener, *http.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, nil
	}
	if s.listener == nil {
		l, err := s.opt.listen()
		if err != nil {
			return nil, nil, fmt.Errorf("listen for %s again: %w", s.opt.Name, err)
		}
		s.listener = l
	}
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: s.opt.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	return s.listener, s.server, nil
}

// serve answers one request. http.ErrAbortHandler is how a proxy gives a connection up: no fault.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	a := &answer{ResponseWriter: w, control: http.NewResponseController(w), limit: s.opt.Timeout}
	a.extend()
	defer a.extend() // for what net/http has buffered
	limitBody(r, a.control, s.opt.Timeout)
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v)
		default:
			s.opt.Panicked()
			s.opt.Log.Error("a request panicked", "for", s.opt.Name, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			http.Error(w, "internal error: the node's log says more", http.StatusInternalServerError)
		}
	}()
	s.opt.Handler.ServeHTTP(a, r)
}

// Close stops listening and serving, also when Run was never called. It is idempotent.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
		s.listener = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the listener for %s: %w", s.opt.Name, err)
	}
	return nil
}
