package telemetry_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/alys-node/alys/core/telemetry"
)

func TestServer(t *testing.T) {
	ready := telemetry.Readiness{Reasons: []string{"the signer is locked"}}
	extra := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "console") })
	s, err := telemetry.NewServer(telemetry.ServerOptions{
		Address: "127.0.0.1:0", Metrics: telemetry.New("test", "dev"), Ready: func() telemetry.Readiness { return ready }, Extra: extra,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/metrics": {200, "alys_build_info"},
		"/healthz": {200, "ok"},
		"/readyz":  {503, "the signer is locked"},
		"/":        {200, "console"},
	} {
		resp, err := http.Get("http://" + s.Addr().String() + path) //nolint:noctx // a test against loopback
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want.code || !strings.Contains(string(body), want.text) {
			t.Errorf("%s: %d %.200q %v, want %d and %q", path, resp.StatusCode, body, err, want.code, want.text)
		}
	}
	if _, err := telemetry.NewServer(telemetry.ServerOptions{Address: s.Addr().String(), Metrics: telemetry.New("test", "dev")}); err == nil {
		t.Error("a port in use is no error")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
