package wallet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/internal/serve"
)

// Limits where Options set none.
const (
	MaxRequestBytes = 5 << 20 // of a request's body, as geth has it
	defaultTimeout  = 30 * time.Second
)

// MaxAnswerBytes limits an engine's answer: an engine is not trusted with the node's memory.
const MaxAnswerBytes = 64 << 20

// Backend is where the serving engine's JSON-RPC listens: "unix:PATH" or "http://HOST:PORT".
type Backend func() (string, error)

// Keeper keeps raw transactions (EIP-2718 envelopes) that an engine accepted.
type Keeper func(raw []byte)

// Options configure a Proxy.
type Options struct {
	Address string        // host:port to listen on
	Hosts   []string      // names by which this listener may be called, beside IP addresses and localhost
	Wait    time.Duration // how long a request waits for an engine
	Backend Backend
	Keep    Keeper
	Observe func(code int) // counts answers by HTTP status

	MaxBody  int64         // of a request, in bytes; 0: MaxRequestBytes
	Timeout  time.Duration // that a request may take, and each piece of its answer; 0: 30 s
	MaxConns int           // connections at once; 0: no limit

	Panicked func() // counts requests that panicked; nil: nobody counts
	Log      hclog.Logger
}

// Proxy is the listener. Run serves until its context ends; after an error it may be run again.
type Proxy struct {
	*serve.Server
	opt    Options
	client *http.Transport
}

// New listens, so that a port in use is an error at start and not later.
func New(opt Options) (*Proxy, error) {
	if opt.MaxBody <= 0 {
		opt.MaxBody = MaxRequestBytes
	}
	if opt.Timeout <= 0 {
		opt.Timeout = defaultTimeout
	}
	p := &Proxy{opt: opt}
	// No connection is kept: each request dials the engine that serves now, not the one that served the request before.
	p.client = &http.Transport{DialContext: p.dial, DisableKeepAlives: true}
	var err error
	p.Server, err = serve.New(serve.Options{
		Name: "wallets on " + opt.Address, Listen: serve.TCP(opt.Address), Handler: p, Panicked: opt.Panicked, Log: opt.Log,
		Timeout: opt.Timeout, MaxConns: opt.MaxConns,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// ServeHTTP answers one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.hostAllowed(r.Host) {
		p.fail(w, http.StatusForbidden, "host name not allowed: add it to hosts of the wallet listener")
		return
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		p.reverse().ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, p.opt.MaxBody))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.fail(w, http.StatusRequestTimeout, fmt.Sprintf("request body: not sent within %s", p.opt.Timeout))
		return
	}
	if err != nil {
		p.fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("request body: %v (limit %d bytes)", err, p.opt.MaxBody))
		return
	}
	answer, header, code, err := p.forward(r, body)
	if err != nil {
		p.opt.Log.Warn("no engine answered a wallet", "error", err)
		p.fail(w, http.StatusServiceUnavailable, "no engine answers: try again")
		return
	}
	p.keep(body, answer)
	w.Header().Set("Content-Type", header.Get("Content-Type"))
	w.WriteHeader(code)
	p.opt.Observe(code)
	_, _ = w.Write(answer) //nolint:gosec // the engine's JSON passes through with its own content type
}

// forward sends the request to the engine. A request that never reached an engine is sent again when one is back.
func (p *Proxy) forward(r *http.Request, body []byte) ([]byte, http.Header, int, error) {
	ctx, cancel := context.WithTimeout(r.Context(), p.opt.Timeout)
	defer cancel()
	deadline := time.Now().Add(p.opt.Wait)
	for {
		answer, header, code, err := p.once(ctx, r, body)
		var unreached *net.OpError
		retry := errors.Is(err, errNoBackend) || errors.As(err, &unreached) && unreached.Op == "dial" || err != nil && !sends(body)
		if err == nil || !retry || errors.Is(err, errAnswerTooLarge) || time.Now().After(deadline) {
			return answer, header, code, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, 0, ctx.Err()
		}
	}
}

var (
	errNoBackend      = errors.New("no engine serves now")
	errAnswerTooLarge = fmt.Errorf("the engine's answer is over %d bytes", MaxAnswerBytes)
)

func (p *Proxy) once(ctx context.Context, r *http.Request, body []byte) ([]byte, http.Header, int, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, "http://engine"+r.URL.RequestURI(), bytes.NewReader(body)) //nolint:gosec // dial goes to the engine, whatever the URL says
	if err != nil {
		return nil, nil, 0, fmt.Errorf("forward request: %w", err)
	}
	req.Host = p.engineHost()
	req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	resp, err := p.client.RoundTrip(req)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("forward request: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // the body was read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswerBytes+1))
	if err != nil {
		return nil, nil, 0, fmt.Errorf("read answer: %w", err)
	}
	if len(answer) > MaxAnswerBytes {
		return nil, nil, 0, errAnswerTooLarge
	}
	return answer, resp.Header, resp.StatusCode, nil
}

// reverse proxies a WebSocket for as long as both sides keep it; a client of an engine that went away reconnects.
func (p *Proxy) reverse() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: p.client,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "engine"})
			r.Out.Host = p.engineHost()
			r.Out.Header.Del("Origin")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			p.opt.Log.Warn("no engine answered a wallet's WebSocket", "error", err)
			p.fail(w, http.StatusServiceUnavailable, "no engine answers: try again")
		},
	}
}

func (p *Proxy) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	backend, err := p.opt.Backend()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoBackend, err)
	}
	var d net.Dialer
	if path, ok := strings.CutPrefix(backend, "unix:"); ok {
		return d.DialContext(ctx, "unix", path)
	}
	return d.DialContext(ctx, "tcp", strings.TrimPrefix(backend, "http://"))
}

// engineHost is the name by which the engine is called: a client of its operator's own answers to its address only.
func (p *Proxy) engineHost() string {
	if backend, err := p.opt.Backend(); err == nil {
		if host, ok := strings.CutPrefix(backend, "http://"); ok {
			return host
		}
	}
	return "engine"
}

// hostAllowed stops a page in a browser from reaching the listener through a name of its own (DNS rebinding).
func (p *Proxy) hostAllowed(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "localhost" || slices.Contains(p.opt.Hosts, host) || slices.Contains(p.opt.Hosts, "*")
}

func (p *Proxy) fail(w http.ResponseWriter, code int, message string) {
	p.opt.Observe(code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":%s}}`+"\n", strconv.Quote(message))
}

type rpcCall struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

type rpcAnswer struct {
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func sends(body []byte) bool { return bytes.Contains(body, []byte("eth_sendRawTransaction")) }

// keep hands over the raw transactions of the request that the engine accepted.
func (p *Proxy) keep(body, answer []byte) {
	if !sends(body) {
		return
	}
	accepted := map[string]bool{}
	for _, a := range list[rpcAnswer](answer) {
		if len(a.Error) == 0 && len(a.Result) > 0 {
			accepted[string(a.ID)] = true
		}
	}
	for _, c := range list[rpcCall](body) {
		if c.Method != "eth_sendRawTransaction" || !accepted[string(c.ID)] || len(c.Params) == 0 {
			continue
		}
		var raw string
		if json.Unmarshal(c.Params[0], &raw) != nil {
			continue
		}
		if b, err := decodeHex(raw); err == nil {
			p.opt.Keep(b)
		}
	}
}

// list reads one JSON-RPC message or a batch; what does not decode is empty.
func list[T any](raw []byte) []T {
	var many []T
	if json.Unmarshal(raw, &many) == nil {
		return many
	}
	var one T
	if json.Unmarshal(raw, &one) != nil {
		return nil
	}
	return []T{one}
}
