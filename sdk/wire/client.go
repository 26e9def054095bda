package wire

import (
	"context"

	"google.golang.org/grpc"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire/enginev1"
	"github.com/alys-node/alys/sdk/wire/pluginv1"
	"github.com/alys-node/alys/sdk/wire/signerv1"
	"github.com/alys-node/alys/sdk/wire/syncerv1"
)

// Client is the host's side of one plugin process: each contract as an adapter over the same connection. It holds no
// state of its own and is safe for concurrent use; the connection belongs to the caller.
type Client struct {
	conn  grpc.ClientConnInterface
	kind  lifecycle.Kind
	label string
}

// NewClient makes the adapters of a connection. kind and label name the plugin in errors.
func NewClient(conn grpc.ClientConnInterface, kind lifecycle.Kind, label string) *Client {
	return &Client{conn: conn, kind: kind, label: label}
}

// WithLabel is the same client under another label.
func (c *Client) WithLabel(label string) *Client { return NewClient(c.conn, c.kind, label) }

// Kind is the kind that the client was made for.
func (c *Client) Kind() lifecycle.Kind { return c.kind }

// Label is the plugin's label in alys.hcl.
func (c *Client) Label() string { return c.label }

// Plugin is the common part of every plugin.
func (c *Client) Plugin() *PluginClient {
	return &PluginClient{c: c, rpc: pluginv1.NewPluginClient(c.conn)}
}

// Signer is the signer contract with every optional interface of it. Calls fail with lifecycle.ErrUnsupported where the
// plugin has no such method, and all of them when the plugin is of another kind.
func (c *Client) Signer() *SignerClient {
	return &SignerClient{c: c, rpc: signerv1.NewSignerClient(c.conn)}
}

// Engine is the engine contract with the pool.
func (c *Client) Engine() *EngineClient {
	return &EngineClient{c: c, rpc: enginev1.NewEngineClient(c.conn)}
}

// Strategy is the sync contract.
func (c *Client) Strategy() *StrategyClient {
	return &StrategyClient{c: c, rpc: syncerv1.NewSyncerClient(c.conn)}
}

// site is one method of one plugin, for errors.
type site struct {
	c    *Client
	name string
}

func (c *Client) at(call string) site { return site{c, call} }

// method is a unary method of a generated client.
type method[Req, Resp any] func(context.Context, *Req, ...grpc.CallOption) (*Resp, error)

// invoke makes one unary call with a deadline and decodes its error.
func invoke[Req, Resp any](ctx context.Context, at site, m method[Req, Resp], req *Req) (*Resp, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultDeadline)
		defer cancel()
	}
	resp, err := m(ctx, req)
	if err != nil {
		return nil, at.c.decodeError(at.name, err)
	}
	return resp, nil
}
