package admin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/admin"
)

// failing is a node that answers everything with one error.
type failing struct {
	answering
	err error
}

func (f *failing) Status(context.Context) (admin.Status, error) { return admin.Status{}, f.err }

func raw(t *testing.T, socket, method, path, body string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://alys"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
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

func TestCodesAreHTTPStatuses(t *testing.T) {
	node := &failing{}
	c, socket := start(t, node)
	for code, want := range map[string]int{
		"invalid": 400, "refused": 403, "unknown": 404, "conflict": 409, "unavailable": 503, "internal": 500,
	} {
		node.err = &admin.Error{Code: code, Message: "no", Hint: "do this"}
		if got, _ := raw(t, socket, http.MethodGet, "/v1/status", ""); got != want {
			t.Errorf("%s is HTTP %d, want %d", code, got, want)
		}
		_, err := c.Status(t.Context())
		var e *admin.Error
		if !errors.As(err, &e) || e.Code != code || e.Hint != "do this" || !strings.Contains(err.Error(), "no") {
			t.Errorf("%s came as %v", code, err)
		}
	}
}

func TestMalformedRequestIsRefused(t *testing.T) {
	c, socket := start(t, &answering{})
	for _, path := range []string{"/v1/plan", "/v1/apply", "/v1/rollback", "/v1/keys", "/v1/keys/export", "/v1/unlock"} {
		if code, body := raw(t, socket, http.MethodPost, path, "{"); code != http.StatusBadRequest || !strings.Contains(body, "invalid") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if _, err := c.Plan(t.Context(), admin.Source{Path: strings.Repeat("x", 17<<20)}); err == nil {
		t.Error("a request of 17 MiB was taken")
	}
}

// pretending serves fixed answers where a node's socket would be.
func pretending(t *testing.T, h http.HandlerFunc) *admin.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return admin.NewClient(path)
}

func TestAnswersThatMakeNoSenseAreErrors(t *testing.T) {
	quiet := func(admin.Progress) {}
	for name, h := range map[string]http.HandlerFunc{
		"no JSON":        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no error in it": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); _, _ = io.WriteString(w, "{}") },
		"cut off":        func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut in the middle": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"step":"a"}`+"\n")
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := pretending(t, h)
			if _, err := c.Status(t.Context()); err == nil {
				t.Error("status: no error")
			}
			if _, err := c.Apply(t.Context(), admin.ApplyRequest{}, quiet); err == nil {
				t.Error("apply: no error")
			}
		})
	}
}

func TestNodeThatGoesAwayInAnApplyIsTold(t *testing.T) {
	c := pretending(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"step":"start"}`+"\n") })
	_, err := c.Apply(t.Context(), admin.ApplyRequest{}, func(admin.Progress) {})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "alys status") {
		t.Errorf("got %v, want what to do", err)
	}
}

func TestServerThatNeverRanIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	s, err := admin.NewServer(path, &answering{}, nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestSocketOfADeadNodeIsReplacedAndAFolderIsNot(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	if err := os.WriteFile(dead, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := admin.NewServer(dead, &answering{}, nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.NewServer(full, &answering{}, nil, hclog.NewNullLogger()); err == nil {
		t.Error("a folder was replaced by a socket")
	}
	if _, err := admin.NewServer(filepath.Join(dir, "none", "a.sock"), &answering{}, nil, hclog.NewNullLogger()); err == nil {
		t.Error("a socket in a folder that is not there")
	}
}

func TestConsoleSaysWhenTheNodeCannotTell(t *testing.T) {
	s := httptest.NewServer(admin.Console(&failing{err: errors.New("starting")}))
	defer s.Close()
	resp, err := http.Get(s.URL + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(b), "starting") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}
