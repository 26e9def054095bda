package serve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
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

// serving is a server that runs until the test ends.
func serving(t *testing.T, o serve.Options) string {
	t.Helper()
	o.Name, o.Listen = "tests", serve.TCP("127.0.0.1:0")
	s, err := serve.New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := run(t, s)
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return s.Addr().String()
}

func dial(t *testing.T, address, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBodyThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	ended := make(chan error, 1)
	address := serving(t, serve.Options{Timeout: 50 * time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	})})
	dial(t, address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the body ended with %v", err)
	}
}

func TestAnswerThatNobodyTakesIsGivenUp(t *testing.T) {
	ended := make(chan error, 1)
	address := serving(t, serve.Options{Timeout: 50 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		ended <- err
	})})
	dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer ended with %v", err)
	}
}

func TestSlowWorkAndStreamsOutliveTheTimeout(t *testing.T) {
	const limit = 50 * time.Millisecond
	address := serving(t, serve.Options{Timeout: limit, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		for range 3 {
			select {
			case <-time.After(2 * limit):
			case <-r.Context().Done():
				t.Error("the request's context ended")
			}
			_, _ = io.WriteString(w, "step ")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	})})
	resp, err := http.Post("http://"+address, "text/plain", strings.NewReader("go")) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "step step step " {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestConnectionThatWasTakenOverHasNoDeadline(t *testing.T) {
	const limit = 50 * time.Millisecond
	ended := make(chan error, 1)
	address := serving(t, serve.Options{Timeout: limit, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			ended <- err
			return
		}
		defer c.Close()
		<-time.After(3 * limit)
		if _, err = io.WriteString(c, "still"); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		ended <- err
	})})
	c := dial(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, len("still"))); err != nil {
		t.Error(err)
	}
	_, _ = io.WriteString(c, "x")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestConnectionsAboveTheLimitWait(t *testing.T) {
	address := serving(t, serve.Options{MaxConns: 1, Handler: handler})
	const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	first := dial(t, address, request)
	if _, err := first.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	second := dial(t, address, request)
	_ = second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second connection: %v", err)
	}
	_ = first.Close()
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := second.Read(make([]byte, 1)); err != nil {
		t.Errorf("after the first one has gone: %v", err)
	}
}
