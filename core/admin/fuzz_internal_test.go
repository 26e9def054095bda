package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// obliging is a node that does what it is asked, and gives back what it understood.
type obliging struct{ got any }

func (o *obliging) Status(context.Context) (Status, error) { return Status{}, nil }
func (o *obliging) Slots(context.Context) (Slots, error)   { return Slots{}, nil }

func (o *obliging) Plan(_ context.Context, s Source) (PlanResponse, error) {
	o.got = s
	return PlanResponse{}, nil
}

func (o *obliging) Apply(_ context.Context, r ApplyRequest, _ func(Progress)) (string, error) {
	o.got = r
	return "done", nil
}

func (o *obliging) Rollback(_ context.Context, r RollbackRequest, _ func(Progress)) (string, error) {
	o.got = r
	return "done", nil
}

func (o *obliging) Migration(_ context.Context, r MigrationRequest) (MigrationResponse, error) {
	o.got = r
	return MigrationResponse{}, nil
}

func (o *obliging) GuardExport(context.Context) (json.RawMessage, error) {
	return json.RawMessage(`{}`), nil
}

func (o *obliging) GuardImport(_ context.Context, raw json.RawMessage) (GuardImportResponse, error) {
	o.got = raw
	return GuardImportResponse{}, nil
}

func (o *obliging) Unlock(_ context.Context, r UnlockRequest) error {
	o.got = r
	return nil
}

func (o *obliging) CreateKey(_ context.Context, r CreateKeyRequest) (KeyStatus, error) {
	o.got = r
	return KeyStatus{}, nil
}

func (o *obliging) ExportKey(_ context.Context, r ExportKeyRequest) (ExportKeyResponse, error) {
	o.got = r
	return ExportKeyResponse{}, nil
}

func (o *obliging) BenchSign(_ context.Context, r BenchSignRequest, _ func(BenchProgress)) (BenchSignResult, error) {
	o.got = r
	return BenchSignResult{}, nil
}

func (o *obliging) Checkpoints(context.Context, int) ([]Checkpoint, error) { return nil, nil }

func (o *obliging) CheckChain(context.Context, func(CheckProgress)) (CheckedChain, error) {
	return CheckedChain{}, nil
}

// FuzzRequests posts a body to each path that takes one: it is refused as invalid before the node sees any of it, or the
// node is given what encodes to JSON again; the answer is JSON either way.
func FuzzRequests(f *testing.F) {
	paths := []string{"/v1/plan", "/v1/apply", "/v1/rollback", "/v1/guard", "/v1/keys", "/v1/keys/export", "/v1/unlock", "/v1/bench/sign", "/v1/migrations"}
	for i, body := range []any{
		Source{Path: "/a/alys.hcl", Vars: map[string]string{"x": "1"}, VarFiles: []string{"v"}},
		ApplyRequest{Serial: 3, Hash: "ab", AllowGap: true, By: "me"},
		RollbackRequest{Role: "signer", By: "me"},
		json.RawMessage(`{"metadata":{},"data":[]}`),
		CreateKeyRequest{Plugin: "local", Purpose: "approval", Password: []byte("x"), Import: []byte("{}")},
		ExportKeyRequest{Plugin: "local", Key: "k", Password: []byte("x")},
		UnlockRequest{Plugin: "local", Password: []byte("x")},
		BenchSignRequest{Rate: 200, Swaps: 3},
		MigrationRequest{Ask: MigrationPause, Name: "engine-v5", By: "me", Reason: "weekend", Hold: true},
	} {
		raw, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), raw)
		f.Add(uint8(i), raw[:len(raw)/2])
	}
	f.Add(uint8(1), []byte(`{"serial":-1}`))
	f.Add(uint8(4), []byte(`{"password":"not base64!"}`))
	f.Add(uint8(0), []byte(strings.Repeat(`{"vars":`, 20_000)))
	f.Fuzz(func(t *testing.T, path uint8, body []byte) {
		node := &obliging{}
		s := &Server{node: node}
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, paths[int(path)%len(paths)], bytes.NewReader(body)))
		switch {
		case w.Code == http.StatusBadRequest && node.got == nil:
			var e struct{ Error *Error }
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == nil || e.Error.Code != "invalid" {
				t.Errorf("refused with %q, %v", w.Body, err)
			}
		case w.Code == http.StatusOK && node.got != nil && json.Valid(body):
			if _, err := json.Marshal(node.got); err != nil {
				t.Errorf("%+v: %v", node.got, err)
			}
		default:
			t.Errorf("%q: status %d, %q, the node was given %+v", body, w.Code, w.Body, node.got)
		}
	})
}
