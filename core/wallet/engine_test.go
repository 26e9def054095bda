package wallet_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/wallet"
)

// serve runs an engine's wallet RPC over TCP.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// echo takes a WebSocket upgrade and sends back what comes.
func echo(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

// upgrade asks for a WebSocket and returns the connection and the status of the answer.
func upgrade(t *testing.T, url string) (net.Conn, *bufio.Reader, int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://evil.example\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return conn, r, resp.StatusCode
}

func TestWebSocketReachesTheEngine(t *testing.T) {
	f := start(t)
	origin := make(chan string, 1)
	f.backend.Store(serve(t, func(w http.ResponseWriter, r *http.Request) { origin <- r.Header.Get("Origin"); echo(w, r) }))
	conn, r, code := upgrade(t, f.url)
	if code != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", code)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("the engine answered %q %v", line, err)
	}
	if got := <-origin; got != "" {
		t.Errorf("the engine saw the origin %q: the host name was checked already", got)
	}
}

// TestEngineIsCalledByItsAddress: a geth of its own answers 403 to a name that it does not know.
func TestEngineIsCalledByItsAddress(t *testing.T) {
	f := start(t)
	hosts := make(chan string, 2)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"id":1,"result":"0x1"}`)
	})
	f.backend.Store(url)
	post(t, f.url, "", `{"id":1,"method":"eth_chainId"}`)
	upgrade(t, f.url)
	for range 2 {
		if got, want := <-hosts, strings.TrimPrefix(url, "http://"); got != want {
			t.Errorf("the engine was called %q, want %q", got, want)
		}
	}
}

func TestWebSocketWithoutAnEngineIsTold(t *testing.T) {
	f := start(t)
	if _, _, code := upgrade(t, f.url); code != http.StatusServiceUnavailable {
		t.Errorf("status %d", code)
	}
}

// dying cuts the connection of the first calls, after it has read them.
func dying(times int32, calls *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Add(1) <= times {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"id":1,"result":"0x1"}`)
	}
}

func TestQuestionIsAskedAgainWhenTheEngineDies(t *testing.T) {
	f := start(t)
	var calls atomic.Int32
	f.backend.Store(serve(t, dying(2, &calls)))
	code, body := post(t, f.url, "", `{"id":1,"method":"eth_chainId"}`)
	if code != http.StatusOK || calls.Load() != 3 {
		t.Errorf("got %d %s after %d calls", code, body, calls.Load())
	}
}

// TestTransactionIsNotSentTwice: the first engine may have taken it, and would call the second one a nonce too low.
func TestTransactionIsNotSentTwice(t *testing.T) {
	f := start(t)
	var calls atomic.Int32
	f.backend.Store(serve(t, dying(1, &calls)))
	code, _ := post(t, f.url, "", `{"id":1,"method":"eth_sendRawTransaction","params":["0x01"]}`)
	if code != http.StatusServiceUnavailable || calls.Load() > 2 { // the HTTP client may try an idle connection once more
		t.Errorf("got %d after %d calls", code, calls.Load())
	}
	if len(f.kept) != 0 {
		t.Errorf("kept %v without an answer", f.kept)
	}
}

func TestNoEngineForAsLongAsAWalletWaitsIsTold(t *testing.T) {
	f := start(t)
	begin := time.Now()
	code, body := post(t, f.url, "", `{"id":1,"method":"eth_chainId"}`)
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "try again") {
		t.Errorf("got %d %s", code, body)
	}
	if took := time.Since(begin); took < 2*time.Second {
		t.Errorf("gave up after %s", took)
	}
}

func TestTooLargeAnswerIsCutOff(t *testing.T) {
	f := start(t)
	var calls atomic.Int32
	f.backend.Store(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		chunk := make([]byte, 1<<20)
		for range wallet.MaxAnswerBytes>>20 + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	if code, _ := post(t, f.url, "", `{"id":1,"method":"debug_everything"}`); code != http.StatusServiceUnavailable || calls.Load() != 1 {
		t.Errorf("status %d after %d calls", code, calls.Load())
	}
}

func TestWhatIsNoTransactionIsNotKept(t *testing.T) {
	for name, exchange := range map[string][2]string{
		"another method":         {`{"id":1,"method":"eth_chainId","params":["eth_sendRawTransaction"]}`, `{"id":1,"result":"0x1"}`},
		"an error":               {`{"id":1,"method":"eth_sendRawTransaction","params":["0x01"]}`, `{"id":1,"error":{"code":1}}`},
		"another answer":         {`{"id":1,"method":"eth_sendRawTransaction","params":["0x01"]}`, `{"id":2,"result":"0x1"}`},
		"no parameters":          {`{"id":1,"method":"eth_sendRawTransaction"}`, `{"id":1,"result":"0x1"}`},
		"a number":               {`{"id":1,"method":"eth_sendRawTransaction","params":[1]}`, `{"id":1,"result":"0x1"}`},
		"no hex":                 {`{"id":1,"method":"eth_sendRawTransaction","params":["0xzz"]}`, `{"id":1,"result":"0x1"}`},
		"hex without its prefix": {`{"id":1,"method":"eth_sendRawTransaction","params":["01"]}`, `{"id":1,"result":"0x1"}`},
		"an answer of garbage":   {`{"id":1,"method":"eth_sendRawTransaction","params":["0x01"]}`, `<html>`},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.backend.Store(engine(t, exchange[1]))
			post(t, f.url, "", exchange[0])
			if len(f.kept) != 0 {
				t.Errorf("kept %v", f.kept)
			}
		})
	}
}

func TestSingleTransactionIsKept(t *testing.T) {
	f := start(t)
	f.backend.Store(engine(t, `{"id":7,"result":"0xaa"}`))
	post(t, f.url, "", `{"id":7,"method":"eth_sendRawTransaction","params":["0x6f6e65"]}`)
	if diff := cmp.Diff([]string{"one"}, f.kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestListenerThatNeverRanIsClosed(t *testing.T) {
	p, err := wallet.New(wallet.Options{Address: "127.0.0.1:0", Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	l, err := net.Listen("tcp", p.Addr().String())
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	_ = l.Close()
}
