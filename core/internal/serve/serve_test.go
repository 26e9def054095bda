package serve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alys-node/alys/core/internal/serve"
)

var errBroken = errors.New("accept broke")

// breaking is a listener that fails when it is told to.
type breaking struct {
	net.Listener
	broken atomic.Bool
}

func (b *breaking) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if b.broken.Load() {
		return nil, errors.Join(errBroken, b.Close())
	}
	return c, err
}

func get(t *testing.T, s *serve.Server, path string) (int, string) {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + s.Addr().String() + path) //nolint:noctx // a test against loopback
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// handler answers, panics or aborts by the path.
var handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/panic":
		panic("the thing is nil")
	case "/abort":
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, "here")
})

func run(t *testing.T, s *serve.Server) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	return done
}

func TestRequestThatPanicsCostsItsOwnAnswer(t *testing.T) {
	var panics atomic.Int64
	s, err := serve.New(serve.Options{Name: "tests", Listen: serve.TCP("127.0.0.1:0"), Handler: handler, Panicked: func() { panics.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	done := run(t, s)
	if code, body := get(t, s, "/panic"); code != http.StatusInternalServerError || strings.Contains(body, "nil") {
		t.Errorf("%d %q, want a 500 that does not tell a stranger what broke", code, body)
	}
	if resp, err := http.Get("http://" + s.Addr().String() + "/abort"); err == nil { //nolint:noctx // a test against loopback
		resp.Body.Close()
		t.Errorf("an aborted request was answered with %s", resp.Status)
	}
	if code, body := get(t, s, "/"); code != http.StatusOK || body != "here" {
		t.Errorf("after a panic: %d %q", code, body)
	}
	if got := panics.Load(); got != 1 {
		t.Errorf("%d panics counted, want 1: an abort is none", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("closed: %v", err)
	}
}

// listening waits until a connection is taken.
func listening(t *testing.T, address string) {
	t.Helper()
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		c, err := net.Dial("tcp", address) //nolint:noctx // loopback
		if err == nil {
			_ = c.Close()
			return
		}
		if t.Context().Err() != nil || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
}

func TestRunsAgainOnTheSameAddressAfterAnError(t *testing.T) {
	var last *breaking
	listen := serve.TCP("127.0.0.1:0")
	s, err := serve.New(serve.Options{Name: "tests", Handler: handler, Listen: func() (net.Listener, error) {
		l, err := listen()
		last = &breaking{Listener: l}
		return last, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	address := s.Addr().String()
	for range 3 {
		done := run(t, s)
		listening(t, address)
		if _, body := get(t, s, "/"); body != "here" {
			t.Errorf("got %q", body)
		}
		last.broken.Store(true)
		listening(t, address) // wakes Accept
		if err := <-done; !errors.Is(err, errBroken) {
			t.Fatalf("Run: %v, want what broke", err)
		}
	}
	if s.Addr().String() != address {
		t.Errorf("moved from %s to %s", address, s.Addr())
	}
}

func TestClosedServerDoesNotRun(t *testing.T) {
	s, err := serve.New(serve.Options{Name: "tests", Listen: serve.TCP("127.0.0.1:0"), Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Run(context.Background()); err != nil {
		t.Errorf("Run after Close: %v, want nil at once", err)
	}
	again, err := serve.New(serve.Options{Name: "tests", Listen: serve.TCP(s.Addr().String()), Handler: handler})
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	if _, err := serve.New(serve.Options{Name: "tests", Listen: serve.TCP(s.Addr().String()), Handler: handler}); err == nil {
		t.Error("a port in use is no error")
	}
	_ = again.Close()
}
