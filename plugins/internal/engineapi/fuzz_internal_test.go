package engineapi

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// fixed answers every request with the same bytes.
type fixed []byte

// RoundTrip implements http.RoundTripper.
func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(f))}, nil
}

// FuzzAnswers gives arbitrary bytes to every method: none may panic, and what comes out has the shape of the contract.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"result":null}`, `{"jsonrpc":"2.0","id":1,"result":[null]}`, `{"error":{"code":-38005,"message":"m"}}`,
		`{"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`,
		`{"result":{"payloadStatus":{"status":"SYNCING"},"payloadId":"0x0102030405060708"}}`,
		`{"result":{"executionPayload":{"parentHash":"0x","withdrawals":[null]},"blockValue":"0x0"}}`,
		`{"result":[{"name":"geth","version":"1"}]}`, `[{"id":1,"result":"0x1"},null]`, `{"result":[{"transactions":["0x"],"withdrawals":[null]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		conn, err := dial("http://client", nil, nil, fixed(answer))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c, ctx := Client{conn}, t.Context()
		if st, err := c.NewPayload(ctx, execution.Prague, &chain.ExecutionData{}); err == nil && st.Verdict == "" {
			t.Error("a status without a verdict")
		}
		if st, _, err := c.ForkchoiceUpdated(ctx, execution.Cancun, engine.Forkchoice{}, nil); err == nil && st.Verdict == "" {
			t.Error("a status without a verdict")
		}
		for _, fork := range []execution.Fork{execution.Paris, execution.Shanghai, execution.Prague} {
			if d, err := c.Payload(ctx, fork, PayloadID{}); err == nil && (d.Requests != nil) != (fork == execution.Prague) {
				t.Error("execution requests do not fit the fork")
			}
		}
		if bodies, err := c.Bodies(ctx, []chain.Hash{{1}}); err == nil && len(bodies) != 1 {
			t.Errorf("%d bodies", len(bodies))
		}
		if _, err := c.Capabilities(ctx, nil); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
		if v, err := c.Version(ctx); err == nil && (v == "" || len(v) > maxVersion) {
			t.Errorf("version %q", v)
		}
		var a, b string
		_ = c.Batch(ctx, []*Ask{{Method: "eth_a", Result: &a}, {Method: "eth_b", Result: &b}}) // must end
	})
}
