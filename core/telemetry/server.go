package telemetry

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/alys-node/alys/core/internal/serve"
)

// Readiness says whether the node does its work now, and if not, why.
type Readiness struct {
	Ready   bool              `json:"ready"`
	Reasons []string          `json:"reasons,omitempty"`
	Parts   map[string]string `json:"parts,omitempty"`
}

// Server serves /metrics, /healthz (the process answers), /readyz (it does its work) and what the caller adds.
type Server = serve.Server

// ServerOptions are what a Server needs. Metrics and Ready are required.
type ServerOptions struct {
	Address  string // host:port
	Metrics  *Metrics
	Ready    func() Readiness
	Extra    http.Handler  // everything else; nil: nothing
	Timeout  time.Duration // for a client to send a request's body, and to take each piece of an answer; 0: 30 s
	MaxConns int           // connections at once; 0: no limit
	Panicked func()        // counts requests that panicked; nil: nobody counts
	Log      hclog.Logger  // nil: no logs
}

// NewServer listens, so that a port in use is an error at start and not later.
func NewServer(o ServerOptions) (*Server, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { writeReadiness(w, o.Ready()) })
	if o.Extra != nil {
		mux.Handle("/", o.Extra)
	}
	return serve.New(serve.Options{
		Name: "metrics on " + o.Address, Listen: serve.TCP(o.Address), Handler: mux, Timeout: o.Timeout, MaxConns: o.MaxConns,
		Panicked: o.Panicked, Log: o.Log,
	})
}

func writeReadiness(w http.ResponseWriter, r Readiness) {
	w.Header().Set("Content-Type", "application/json")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r)
}
