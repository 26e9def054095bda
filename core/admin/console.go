package admin

import (
	_ "embed"
	"encoding/json"
	"net/http"
)

// page is the whole console: one file, no outside source, so that it works on a machine without a network.
//
//go:embed console.html
var page []byte

// Console serves a read-only page and the status that it shows. It changes nothing: it may stand on a network port.
func Console(node Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s, err := node.Status(r.Context())
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(map[string]*Error{"error": asError(err)})
			return
		}
		_ = json.NewEncoder(w).Encode(s)
	})
	return mux
}
