package engineapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"
)

// MaxResponseBytes bounds one answer of a client. A full block is far below it; it is the limit of the plugin's own
// messages, too.
const MaxResponseBytes = 64 << 20

// Timeouts of the Engine API (execution-apis), and of everything else, which has none there.
const (
	payloadTimeout = 8 * time.Second // newPayload, forkchoiceUpdated
	bodiesTimeout  = 10 * time.Second
	shortTimeout   = time.Second // getPayload, exchangeCapabilities, getClientVersion
	ethTimeout     = 5 * time.Second
)

// timeout is how long a call of a method may take; the context may end it before.
func timeout(method string) time.Duration {
	switch strings.TrimSuffix(strings.TrimRight(strings.TrimPrefix(method, "engine_"), "0123456789"), "V") {
	case "newPayload", "forkchoiceUpdated":
		return payloadTimeout
	case "getPayloadBodiesByHash", "getPayloadBodiesByRange":
		return bodiesTimeout
	case "getPayload", "exchangeCapabilities", "getClientVersion":
		return shortTimeout
	}
	return ethTimeout
}

// errTooLarge ends the reading of an answer.
var errTooLarge = fmt.Errorf("answer is over %d bytes", MaxResponseBytes)

// Conn makes JSON-RPC calls over HTTP. Methods may be called concurrently.
type Conn struct {
	url    string
	rpc    *rpc.Client
	http   *http.Transport
	secret atomic.Pointer[Secret]
}

// Dial makes a connection to http://HOST:PORT, which is opened by the first call. With a secret every request carries a
// token made for it.
func Dial(url string, secret *Secret) (*Conn, error) {
	transport := &http.Transport{ // no proxy of the environment: a token is for the client alone
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, DisableCompression: true, // few bytes, near by
	}
	return dial(url, secret, transport, transport)
}

func dial(url string, secret *Secret, transport *http.Transport, trip http.RoundTripper) (*Conn, error) {
	c := &Conn{url: url, http: transport}
	c.secret.Store(secret)
	options := []rpc.ClientOption{rpc.WithHTTPClient(&http.Client{
		Transport: limited{trip},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it answers with a redirect, which would carry the token elsewhere")
		},
	})}
	if secret != nil {
		options = append(options, rpc.WithHTTPAuth(func(h http.Header) error { return node.NewJWTAuth(*c.secret.Load())(h) }))
	}
	var err error
	c.rpc, err = rpc.DialOptions(context.Background(), url, options...) // over HTTP it connects to nothing
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", url, err)
	}
	return c, nil
}

// URL is where the client listens.
func (c *Conn) URL() string { return c.url }

// UseSecret changes the secret of the requests to come.
func (c *Conn) UseSecret(s Secret) { c.secret.Store(&s) }

// Close ends idle connections.
func (c *Conn) Close() {
	c.rpc.Close()
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// Call makes one call. Errors: the context's own, an *Error when the client answered with one, and ErrNoAnswer.
func (c *Conn) Call(ctx context.Context, result any, method string, args ...any) error {
	bounded, cancel := context.WithTimeout(ctx, timeout(method))
	defer cancel()
	return c.explain(ctx, method, c.rpc.CallContext(bounded, result, method, args...))
}

// Ask is one call of a batch.
type Ask struct {
	Method string
	Args   []any
	Result any   // a pointer
	Err    error // *Error, or nil
}

// Batch makes several calls in one request; its own error is about the request, each Ask's about the call. The deadline
// is that of the first method.
func (c *Conn) Batch(ctx context.Context, asks []*Ask) error {
	if len(asks) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, timeout(asks[0].Method))
	defer cancel()
	batch := make([]rpc.BatchElem, len(asks))
	for i, a := range asks {
		batch[i] = rpc.BatchElem{Method: a.Method, Args: a.Args, Result: a.Result}
	}
	if err := c.explain(ctx, asks[0].Method, c.rpc.BatchCallContext(bounded, batch)); err != nil {
		return err
	}
	for i, a := range asks {
		a.Err = c.explain(ctx, a.Method, batch[i].Error)
		if a.Err != nil && !isCoded(a.Err) {
			return a.Err
		}
	}
	return nil
}

// limited cuts answers that are too large.
type limited struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil {
		resp.Body = &limitedBody{ReadCloser: resp.Body, left: MaxResponseBytes}
	}
	return resp, err
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader; it fails with errTooLarge instead of reading beyond the limit.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.ReadCloser.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
