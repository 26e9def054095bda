package engineapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/alys-node/alys/plugins/internal/engineapi"
)

// request is one JSON-RPC call as it came over the wire.
type request struct {
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	ID     json.RawMessage   `json:"id"`
	token  string
}

// scripted is a client that answers each method with a fixed result or error.
type scripted struct {
	*httptest.Server
	mu    sync.Mutex
	asked []request
	// answer is the whole answer's fields after the id: `"result":…` or `"error":…`.
	answer func(method string) string
}

func serve(t *testing.T, answer func(method string) string) *scripted {
	t.Helper()
	s := &scripted{answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP answers single calls and batches.
func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var many []request
	if json.Unmarshal(body, &many) == nil {
		parts := make([]string, len(many))
		for i, q := range many {
			parts[i] = s.one(q, r)
		}
		_, _ = io.WriteString(w, "["+strings.Join(parts, ",")+"]")
		return
	}
	var q request
	if json.Unmarshal(body, &q) == nil {
		_, _ = io.WriteString(w, s.one(q, r))
	}
}

func (s *scripted) one(q request, r *http.Request) string {
	q.token = r.Header.Get("Authorization")
	s.mu.Lock()
	s.asked = append(s.asked, q)
	s.mu.Unlock()
	return `{"jsonrpc":"2.0","id":` + string(q.ID) + `,` + s.answer(q.Method) + `}`
}

// last is the last call.
func (s *scripted) last() request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

const secretDigits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// client speaks to a scripted server, with a token.
func client(t *testing.T, url string) engineapi.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwt.hex")
	if err := os.WriteFile(path, []byte(secretDigits), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, err := engineapi.ReadSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := engineapi.Dial(url, &secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return engineapi.Client{Conn: c}
}
