package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/sdk/chain"
)

// answering is a node whose answers are known.
type answering struct {
	applied  admin.ApplyRequest
	checking bool
}

func (*answering) Status(context.Context) (admin.Status, error) {
	return admin.Status{Name: "fed-0", Head: chain.Ref{Height: 7}}, nil
}

func (*answering) Migration(_ context.Context, r admin.MigrationRequest) (admin.MigrationResponse, error) {
	return admin.MigrationResponse{Text: r.Ask + " " + r.Name, Data: json.RawMessage(`{"by":"` + r.By + `"}`), Bad: true}, nil
}

func (*answering) Slots(context.Context) (admin.Slots, error) {
	return admin.Slots{Slot: 9, Authorities: []admin.AuthorityStatus{{Own: true}}, Slots: []admin.SlotStatus{
		{Slot: 8, State: admin.SlotNotarized, Height: 7, Hash: chain.Hash{7}, Approvals: []int{0, 2}, Quorum: 2, Authorities: 3},
		{Slot: 9, State: admin.SlotWaiting, Author: 1, Approvals: []int{}, Quorum: 2, Authorities: 3},
	}}, nil
}

func (*answering) Plan(_ context.Context, s admin.Source) (admin.PlanResponse, error) {
	return admin.PlanResponse{Serial: 3, Text: s.Path}, nil
}

func (a *answering) Apply(_ context.Context, r admin.ApplyRequest, progress func(admin.Progress)) (string, error) {
	a.applied = r
	progress(admin.Progress{Step: "start"})
	progress(admin.Progress{Step: "flip"})
	if r.Serial != 3 {
		return "", &admin.Error{Code: "conflict", Message: "the plan is stale", Hint: "make a new one"}
	}
	return "done", nil
}

func (*answering) Rollback(context.Context, admin.RollbackRequest, func(admin.Progress)) (string, error) {
	return "", errors.New("nothing to go back to")
}

func (*answering) GuardExport(context.Context) (json.RawMessage, error) {
	return json.RawMessage(`{"keys":[]}`), nil
}

func (*answering) GuardImport(_ context.Context, raw json.RawMessage) (admin.GuardImportResponse, error) {
	return admin.GuardImportResponse{Keys: len(raw)}, nil
}

func (*answering) Unlock(_ context.Context, r admin.UnlockRequest) error {
	if string(r.Password) != "open" {
		return &admin.Error{Code: "refused", Message: "wrong password"}
	}
	return nil
}

func (*answering) CreateKey(_ context.Context, r admin.CreateKeyRequest) (admin.KeyStatus, error) {
	return admin.KeyStatus{Purpose: r.Purpose}, nil
}

func (*answering) Checkpoints(_ context.Context, last int) ([]admin.Checkpoint, error) {
	return make([]admin.Checkpoint, last), nil
}

func (a *answering) CheckChain(_ context.Context, progress func(admin.CheckProgress)) (admin.CheckedChain, error) {
	progress(admin.CheckProgress{Height: 4, All: 9})
	if a.checking {
		return admin.CheckedChain{}, &admin.Error{Code: "conflict", Message: "the chain is being checked already"}
	}
	return admin.CheckedChain{Checked: 9}, nil
}

func (*answering) BenchSign(_ context.Context, r admin.BenchSignRequest, progress func(admin.BenchProgress)) (admin.BenchSignResult, error) {
	progress(admin.BenchProgress{Part: "steady", Calls: 1})
	if r.Rate == 0 {
		return admin.BenchSignResult{}, &admin.Error{Code: "invalid", Message: "no rate"}
	}
	return admin.BenchSignResult{Rate: r.Rate}, nil
}

func (*answering) ExportKey(_ context.Context, r admin.ExportKeyRequest) (admin.ExportKeyResponse, error) {
	return admin.ExportKeyResponse{Keystore: []byte(r.Key)}, nil
}

func start(t *testing.T, node admin.Node) (*admin.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alys.sock")
	s, err := admin.NewServer(path, node, nil, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return admin.NewClient(path), path
}

func TestClientAndServer(t *testing.T) {
	node := &answering{}
	c, path := start(t, node)
	ctx := t.Context()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v %v, want 0600", info.Mode(), err)
	}
	s, err := c.Status(ctx)
	if err != nil || s.Name != "fed-0" || s.Head.Height != 7 {
		t.Errorf("status %+v %v", s, err)
	}
	want, _ := node.Slots(ctx)
	slots, err := c.Slots(ctx)
	if diff := cmp.Diff(want, slots); err != nil || diff != "" {
		t.Errorf("slots %v (-want +got):\n%s", err, diff)
	}
	m, err := c.Migration(ctx, admin.MigrationRequest{Ask: admin.MigrationPause, Name: "engine-v5", By: "me"})
	if err != nil || m.Text != "pause engine-v5" || string(m.Data) != `{"by":"me"}` || !m.Bad {
		t.Errorf("migration %+v %v", m, err)
	}
	p, err := c.Plan(ctx, admin.Source{Path: "/a.hcl"})
	if err != nil || p.Text != "/a.hcl" {
		t.Errorf("plan %+v %v", p, err)
	}
	var steps []string
	outcome, err := c.Apply(ctx, admin.ApplyRequest{Serial: 3, By: "me"}, func(p admin.Progress) { steps = append(steps, p.Step) })
	if err != nil || outcome != "done" || node.applied.By != "me" {
		t.Errorf("apply: %q %v, asked %+v", outcome, err, node.applied)
	}
	if diff := cmp.Diff([]string{"start", "flip"}, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if r, err := c.GuardImport(ctx, json.RawMessage(`{}`)); err != nil || r.Keys != 2 {
		t.Errorf("guard import %+v %v", r, err)
	}
	if raw, err := c.GuardExport(ctx); err != nil || string(raw) != `{"keys":[]}` {
		t.Errorf("guard export %s %v", raw, err)
	}
	if err := c.Unlock(ctx, admin.UnlockRequest{Password: []byte("open")}); err != nil {
		t.Error(err)
	}
	if k, err := c.CreateKey(ctx, admin.CreateKeyRequest{Purpose: "approval"}); err != nil || k.Purpose != "approval" {
		t.Errorf("create key %+v %v", k, err)
	}
	if out, err := c.ExportKey(ctx, admin.ExportKeyRequest{Key: "bls:0x"}); err != nil || string(out.Keystore) != "bls:0x" {
		t.Errorf("export key %+v %v", out, err)
	}
}

func TestErrorsKeepTheirCodeAndHint(t *testing.T) {
	c, _ := start(t, &answering{})
	var e *admin.Error
	_, err := c.Apply(t.Context(), admin.ApplyRequest{Serial: 2}, func(admin.Progress) {})
	if !errors.As(err, &e) || e.Code != "conflict" || e.Hint != "make a new one" {
		t.Errorf("apply: %v, want the conflict with its hint", err)
	}
	if err := c.Unlock(t.Context(), admin.UnlockRequest{}); !errors.As(err, &e) || e.Code != "refused" {
		t.Errorf("unlock: %v, want refused", err)
	}
	if _, err := c.Rollback(t.Context(), admin.RollbackRequest{}, func(admin.Progress) {}); !errors.As(err, &e) || e.Code != "internal" {
		t.Errorf("rollback: %v, want internal", err)
	}
}

func TestNoNodeIsTold(t *testing.T) {
	c := admin.NewClient(filepath.Join(t.TempDir(), "none.sock"))
	if _, err := c.Status(t.Context()); !errors.Is(err, admin.ErrNoNode) {
		t.Errorf("got %v, want ErrNoNode", err)
	}
}

func TestTooLongSocketPathIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", admin.MaxSocketPath))
	_, err := admin.NewServer(path, &answering{}, nil, hclog.NewNullLogger())
	if !errors.Is(err, admin.ErrSocketPath) || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("got %v, want ErrSocketPath with what to do", err)
	}
}

func TestConsoleIsReadOnly(t *testing.T) {
	s := httptest.NewServer(admin.Console(&answering{}))
	defer s.Close()
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/", 200},
		{http.MethodGet, "/v1/status", 200},
		{http.MethodPost, "/v1/apply", 405},
		{http.MethodPost, "/v1/status", 405},
		{http.MethodGet, "/v1/guard", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want && (c.want != 405 || resp.StatusCode != 404) {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, resp.StatusCode, c.want)
		}
	}
}
