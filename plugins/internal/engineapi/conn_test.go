package engineapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alys-node/alys/plugins/internal/engineapi"
	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

func TestEveryRequestHasAFreshToken(t *testing.T) {
	s := serve(t, answers)
	c := client(t, s.URL)
	before := time.Now().Add(-time.Second)
	if _, err := c.Capabilities(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(strings.TrimPrefix(s.last().token, "Bearer "), ".")
	if len(parts) != 3 {
		t.Fatalf("token %q", s.last().token)
	}
	var head struct{ Alg string }
	var claims struct{ Iat int64 }
	for i, into := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	if head.Alg != "HS256" || time.Unix(claims.Iat, 0).Before(before.Truncate(time.Second)) {
		t.Errorf("token by %s of %d", head.Alg, claims.Iat)
	}
	first := s.last().token
	c.UseSecret(engineapi.Secret{1})
	if _, err := c.Capabilities(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if s.last().token == first {
		t.Error("a new secret signs as the old one did")
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	s := engineapi.Secret{0xab, 0xcd}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), fmt.Sprint(&s)} {
		if strings.Contains(text, "ab") || strings.Contains(text, "171") {
			t.Errorf("shown: %s", text)
		}
	}
}

// TestErrorCodes has every code of the specification, and what it is for the host.
func TestErrorCodes(t *testing.T) {
	for _, tc := range []struct {
		code int
		want error // nil: none of the contract's
	}{
		{engineapi.CodeMethodNotFound, engine.ErrUnavailable},
		{engineapi.CodeInvalidParams, engine.ErrUnsupportedFork},
		{engineapi.CodeUnknownPayload, engine.ErrUnavailable},
		{engineapi.CodeInvalidForkchoice, engine.ErrUnknownBlock},
		{engineapi.CodeInvalidAttributes, nil},
		{engineapi.CodeTooLarge, nil},
		{engineapi.CodeUnsupportedFork, engine.ErrUnsupportedFork},
		{engineapi.CodeTooDeepReorg, engine.ErrDidNotMove},
		{-32000, engine.ErrUnavailable},
		{1, engine.ErrUnavailable},
	} {
		t.Run(fmt.Sprint(tc.code), func(t *testing.T) {
			s := serve(t, func(string) string {
				return fmt.Sprintf(`"error":{"code":%d,"message":"no","data":{"err":"because"}}`, tc.code)
			})
			_, err := client(t, s.URL).NewPayload(t.Context(), execution.Shanghai, &chain.ExecutionData{})
			coded, ok := errors.AsType[*engineapi.Error](err)
			if !ok || coded.Code != tc.code || !strings.Contains(err.Error(), "because") {
				t.Fatalf("got %v", err)
			}
			for _, sentinel := range []error{engine.ErrUnavailable, engine.ErrUnsupportedFork, engine.ErrUnknownBlock, engine.ErrDidNotMove, engine.ErrSyncing} {
				if errors.Is(err, sentinel) != errors.Is(tc.want, sentinel) {
					t.Errorf("%v is %v: %t", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if engineapi.Lacks(err) != (tc.code == engineapi.CodeMethodNotFound) {
				t.Errorf("Lacks is wrong for %v", err)
			}
		})
	}
}

func TestStatuses(t *testing.T) {
	for status, want := range map[string]engine.Verdict{
		"VALID": engine.Valid, "INVALID": engine.Invalid, "INVALID_BLOCK_HASH": engine.Invalid, "SYNCING": engine.Syncing, "ACCEPTED": engine.Syncing,
	} {
		s := serve(t, func(string) string { return `"result":{"status":"` + status + `","validationError":"why"}` })
		got, err := client(t, s.URL).NewPayload(t.Context(), execution.Shanghai, &chain.ExecutionData{Payload: chain.Payload{BlockHash: chain.Hash{7}}})
		if err != nil || got.Verdict != want || got.Hash != (chain.Hash{7}) || got.Verdict != engine.Valid && got.Reason != "why" {
			t.Errorf("%s: %+v, %v", status, got, err)
		}
	}
	s := serve(t, func(string) string { return `"result":{"status":"MAYBE"}` })
	if _, err := client(t, s.URL).NewPayload(t.Context(), execution.Shanghai, &chain.ExecutionData{}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("an unknown status: %v", err)
	}
}

// TestNoAnswer has the ways in which a client fails to answer.
func TestNoAnswer(t *testing.T) {
	plain := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	status := func(code int) string {
		return plain(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "stale token", code) })
	}
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	for _, tc := range []struct {
		name, url string
		want      error
		says      string
	}{
		{"nobody listens", away.URL, engineapi.ErrNoAnswer, "refused"},
		{"a token that it does not take", status(http.StatusUnauthorized), engineapi.ErrUnauthorized, "stale token"},
		{"a fault", status(http.StatusInternalServerError), engineapi.ErrNoAnswer, "500"},
		{"a redirect", plain(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusTemporaryRedirect)
		}), engineapi.ErrNoAnswer, "redirect"},
		{"something else than JSON", plain(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }), engineapi.ErrNoAnswer, "invalid character"},
		{"a connection that ends", plain(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), engineapi.ErrNoAnswer, "EOF"},
		{"an answer without end", plain(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":["`)
			chunk := strings.Repeat("a", 1<<20)
			for range engineapi.MaxResponseBytes>>20 + 2 {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}), engineapi.ErrNoAnswer, "is over"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := client(t, tc.url).Bodies(t.Context(), nil)
			if !errors.Is(err, tc.want) || !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %v about %q", err, tc.want, tc.says)
			}
			if strings.Contains(err.Error(), secretDigits[:8]) {
				t.Error("the error shows the secret")
			}
		})
	}
}

func TestTheCallersContextEndsACall(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); s.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := client(t, s.URL).NewPayload(ctx, execution.Shanghai, &chain.ExecutionData{}); !errors.Is(err, context.Canceled) || errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := client(t, s.URL).Capabilities(t.Context(), nil); !errors.Is(err, engineapi.ErrSlow) {
		t.Errorf("after the method's own time: %v", err)
	}
}

func TestBatch(t *testing.T) {
	s := serve(t, func(method string) string {
		if method == "bad" {
			return `"error":{"code":-32601,"message":"no such method"}`
		}
		return `"result":"0x1"`
	})
	good, bad := "", ""
	asks := []*engineapi.Ask{{Method: "good", Result: &good}, {Method: "bad", Result: &bad}}
	if err := client(t, s.URL).Batch(t.Context(), asks); err != nil {
		t.Fatal(err)
	}
	if good != "0x1" || asks[0].Err != nil || !engineapi.Lacks(asks[1].Err) {
		t.Errorf("%q, %v, %v", good, asks[0].Err, asks[1].Err)
	}
	if err := client(t, s.URL).Batch(t.Context(), nil); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
}
