package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// ErrNoNode means that no node answers on the socket.
var ErrNoNode = errors.New("no node is running here")

// Client talks to a node over its socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client; it connects when it is used.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// Slots asks for the last slots.
func (c *Client) Slots(ctx context.Context) (Slots, error) {
	return ask[Slots](ctx, c, http.MethodGet, "/v1/slots", nil)
}

// Plan asks what an apply would do.
func (c *Client) Plan(ctx context.Context, s Source) (PlanResponse, error) {
	return ask[PlanResponse](ctx, c, http.MethodPost, "/v1/plan", s)
}

// Apply carries out a plan and reports each step; the text says how it ended.
func (c *Client) Apply(ctx context.Context, r ApplyRequest, progress func(Progress)) (string, error) {
	return c.stream(ctx, "/v1/apply", r, progress)
}

// Rollback goes back to the role's route before the last change.
func (c *Client) Rollback(ctx context.Context, r RollbackRequest, progress func(Progress)) (string, error) {
	return c.stream(ctx, "/v1/rollback", r, progress)
}

// Migration says something to a migration, or asks about it.
func (c *Client) Migration(ctx context.Context, r MigrationRequest) (MigrationResponse, error) {
	return ask[MigrationResponse](ctx, c, http.MethodPost, "/v1/migrations", r)
}

// GuardExport gives the guard's records as an interchange document.
func (c *Client) GuardExport(ctx context.Context) (json.RawMessage, error) {
	return ask[json.RawMessage](ctx, c, http.MethodGet, "/v1/guard", nil)
}

// GuardImport merges an interchange document into the guard.
func (c *Client) GuardImport(ctx context.Context, raw json.RawMessage) (GuardImportResponse, error) {
	return ask[GuardImportResponse](ctx, c, http.MethodPost, "/v1/guard", raw)
}

// Unlock opens sealed keys.
func (c *Client) Unlock(ctx context.Context, r UnlockRequest) error {
	_, err := ask[struct{}](ctx, c, http.MethodPost, "/v1/unlock", r)
	return err
}

// CreateKey makes or brings in a key.
func (c *Client) CreateKey(ctx context.Context, r CreateKeyRequest) (KeyStatus, error) {
	return ask[KeyStatus](ctx, c, http.MethodPost, "/v1/keys", r)
}

// ExportKey takes a sealed copy of a key out.
func (c *Client) ExportKey(ctx context.Context, r ExportKeyRequest) (ExportKeyResponse, error) {
	return ask[ExportKeyResponse](ctx, c, http.MethodPost, "/v1/keys/export", r)
}

func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://alys"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: nothing answers on %s: start it with `alys run` or name its folder with --data-dir", ErrNoNode, c.socket)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("ask the node: %s belongs to another user: use the account that runs the node: %w", c.socket, os.ErrPermission)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the node: %w", err)
	}
	return resp, nil
}

func ask[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close() //nolint:errcheck // the body was read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return out, fmt.Errorf("read the node's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return out, failure(body)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, fmt.Errorf("decode the node's answer: %w", err)
	}
	return out, nil
}

func (c *Client) stream(ctx context.Context, path string, in any, progress func(Progress)) (string, error) {
	outcome := ""
	err := lines(ctx, c, request{path, in}, func(p Progress) (bool, error) {
		if !p.Done {
			progress(p)
			return false, nil
		}
		outcome = p.Outcome
		if p.Error != nil {
			return true, p.Error
		}
		return true, nil
	})
	return outcome, err
}

// request is a body for a path.
type request struct {
	path string
	in   any
}

// lines reads an answer that is one JSON object a line until visit has seen the last one.
func lines[T any](ctx context.Context, c *Client, r request, visit func(T) (last bool, err error)) error {
	resp, err := c.do(ctx, http.MethodPost, r.path, r.in)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // the body was read
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return fmt.Errorf("read the node's answer: %w", err)
		}
		return failure(body)
	}
	text := bufio.NewScanner(resp.Body)
	text.Buffer(nil, maxRequestBytes)
	for text.Scan() {
		var v T
		if err := json.Unmarshal(text.Bytes(), &v); err != nil {
			return fmt.Errorf("decode the node's answer: %w", err)
		}
		if last, err := visit(v); last || err != nil {
			return err
		}
	}
	return fmt.Errorf("the node went away before it was done: ask `alys status` how it ended: %w", errors.Join(text.Err(), io.ErrUnexpectedEOF))
}

func failure(body []byte) error {
	var e struct{ Error *Error }
	if err := json.Unmarshal(body, &e); err != nil || e.Error == nil {
		return fmt.Errorf("the node answered %q", body)
	}
	return e.Error
}
