package wallet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/wallet"
)

type fixture struct {
	url     string
	backend atomic.Value // string
	codes   sync.Map
	mu      sync.Mutex
	kept    []string
}

func start(t *testing.T, hosts ...string) *fixture {
	t.Helper()
	f := &fixture{}
	f.backend.Store("")
	p, err := wallet.New(wallet.Options{
		Address: "127.0.0.1:0", Hosts: hosts, Wait: 3 * time.Second, Log: hclog.NewNullLogger(),
		Backend: func() (string, error) {
			if b := f.backend.Load().(string); b != "" {
				return b, nil
			}
			return "", errors.New("restarting")
		},
		Keep:    func(raw []byte) { f.mu.Lock(); f.kept = append(f.kept, string(raw)); f.mu.Unlock() },
		Observe: func(code int) { f.codes.Store(code, true) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	f.url = "http://" + p.Addr().String()
	return f
}

// engine answers each call with its method's outcome, over a unix socket as the embedded engine does.
func engine(t *testing.T, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "e.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return "unix:" + path
}

func post(t *testing.T, url, host, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
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

func TestAcceptedRawTransactionsAreKept(t *testing.T) {
	f := start(t)
	f.backend.Store(engine(t, `[{"id":1,"result":"0xaa"},{"id":2,"error":{"code":-32000,"message":"nonce too low"}}]`))
	code, _ := post(t, f.url, "", `[{"id":1,"method":"eth_sendRawTransaction","params":["0x6f6e65"]},
		{"id":2,"method":"eth_sendRawTransaction","params":["0x74776f"]}]`)
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	if diff := cmp.Diff([]string{"one"}, f.kept); diff != "" {
		t.Errorf("kept transactions (-want +got):\n%s", diff)
	}
}

func TestRequestWaitsForAnEngineThatIsRestarting(t *testing.T) {
	f := start(t)
	backend := engine(t, `{"id":1,"result":"0x1"}`)
	time.AfterFunc(200*time.Millisecond, func() { f.backend.Store(backend) })
	code, body := post(t, f.url, "", `{"id":1,"method":"eth_chainId","params":[]}`)
	if code != http.StatusOK || !strings.Contains(body, "0x1") {
		t.Errorf("got %d %s, want the engine's answer", code, body)
	}
}

func TestForeignHostNameIsRefused(t *testing.T) {
	f := start(t, "node.example")
	f.backend.Store(engine(t, `{"id":1,"result":"0x1"}`))
	for host, want := range map[string]int{
		"attacker.example": http.StatusForbidden, "node.example:8545": http.StatusOK, "localhost:8545": http.StatusOK, "[::1]:8545": http.StatusOK,
	} {
		if code, _ := post(t, f.url, host, `{"id":1,"method":"eth_chainId"}`); code != want {
			t.Errorf("host %s: status %d, want %d", host, code, want)
		}
	}
}

func TestTooLargeRequestIsRefused(t *testing.T) {
	f := start(t)
	f.backend.Store(engine(t, `{}`))
	code, body := post(t, f.url, "", strings.Repeat("x", wallet.MaxRequestBytes+1))
	if code != http.StatusRequestEntityTooLarge || !strings.Contains(body, "limit") {
		t.Errorf("got %d %s", code, body)
	}
}

func TestConfiguredLimitsHold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // an engine that takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := wallet.New(wallet.Options{
		Address: "127.0.0.1:0", MaxBody: 10, Timeout: 50 * time.Millisecond, Log: hclog.NewNullLogger(),
		Backend: func() (string, error) { return "http://" + l.Addr().String(), nil },
		Observe: func(int) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for body, want := range map[string]int{
		strings.Repeat("x", 11): http.StatusRequestEntityTooLarge, strings.Repeat("x", 10): http.StatusServiceUnavailable,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Host = "localhost"
		p.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d bytes: %d %s, want %d", len(body), w.Code, w.Body, want)
		}
	}
}

func TestPortInUseIsAnErrorAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := wallet.New(wallet.Options{Address: l.Addr().String()}); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v, want an error that names the address", err)
	}
}

func TestRequestGoesToTheEngineThatServesNow(t *testing.T) {
	f := start(t)
	for _, want := range []string{"0xold", "0xnew"} {
		f.backend.Store(engine(t, `{"id":1,"result":"`+want+`"}`)) // the other one still runs, as in a probation
		if code, body := post(t, f.url, "", `{"id":1,"method":"eth_chainId","params":[]}`); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("got %d %s, want the answer %s", code, body, want)
		}
	}
}
