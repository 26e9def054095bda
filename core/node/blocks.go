package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/swap"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// digestPrefix is how alys.hcl and the host write a digest; swap keeps the hex alone.
const digestPrefix = "sha256:"

// stored is what the journal keeps of a plugin block beside swap's own fields: the plugin's config and the block's own
// arguments, both without secrets and with the references that find them again.
type stored struct {
	Config config.PluginConfig `json:"config"`
	Own    config.PluginConfig `json:"own"`
}

// blocks turns plugin blocks from one form into another: of the file, of the journal, and of the host, where alone the
// secrets are in clear.
type blocks struct {
	mu     sync.Mutex
	config *config.Config        // guarded by mu; today's, to find journalled secrets again
	known  map[string]host.Block // guarded by mu; by swap.Block.Hash
}

func newBlocks(c *config.Config) *blocks {
	return &blocks{config: c, known: map[string]host.Block{}}
}

// clear is the form that the host starts. Secrets of a block that this process has not read from a file are resolved
// again.
func (b *blocks) clear(sb swap.Block) (host.Block, error) {
	b.mu.Lock()
	block, ok := b.known[sb.Hash]
	c := b.config
	b.mu.Unlock()
	if ok {
		return block, nil
	}
	var s stored
	if err := json.Unmarshal(sb.Config, &s); err != nil {
		return host.Block{}, fmt.Errorf("read journalled block of %s: %w", sb.ID, err)
	}
	id := config.PluginID{Kind: sb.ID.Kind, Name: sb.ID.Label}
	plain, diags := c.ResolveSecrets(config.ResolveRequest{ID: id, Config: s.Config})
	own, more := c.ResolveSecrets(config.ResolveRequest{ID: id, Config: s.Own, Own: true})
	if err := append(diags, more...).Err(); err != nil {
		return host.Block{}, fmt.Errorf("%s: secrets of the journalled block: %w", sb.ID, err)
	}
	env, err := envOf(own)
	if err != nil {
		return host.Block{}, fmt.Errorf("read journalled block of %s: %w", sb.ID, err)
	}
	block = host.Block{Kind: sb.ID.Kind, Label: sb.ID.Label, Command: sb.Command, Checksums: sb.Checksums, ConfigJSON: plain, Env: env}
	b.remember(sb.Hash, block)
	return block, nil
}

func (b *blocks) remember(hash string, block host.Block) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[hash] = block
}

// use makes c the configuration in which journalled secrets are looked up.
func (b *blocks) use(c *config.Config) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config = c
}

// file is the configuration that was read last and applied.
func (b *blocks) file() *config.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.config
}

func envOf(own []byte) (map[string]string, error) {
	var fields struct {
		Env map[string]string `json:"env"`
	}
	if err := json.Unmarshal(own, &fields); err != nil {
		return nil, err
	}
	return fields.Env, nil
}

// resolved is one plugin block of a file in every form.
type resolved struct {
	block swap.Block
	host  host.Block
}

// resolve asks a plugin, as a probe, for its schema, evaluates its block and has it validated.
func resolve(ctx context.Context, h *host.Host, c *config.Config, p *config.Plugin) (resolved, config.Diagnostics) {
	block := hostBlock(p)
	probe, err := h.Probe(ctx, block)
	if err != nil {
		return resolved{}, plainFinding(c, p.ID, "The plugin cannot be started", err)
	}
	defer probe.Close() //nolint:errcheck // it is only ended
	if probe.Description.Kind != p.ID.Kind {
		return resolved{}, plainFinding(c, p.ID, "The plugin is of another kind", fmt.Errorf("it says that it is of kind %q", probe.Description.Kind))
	}
	values, diags := c.DecodePlugin(p.ID, probe.Schema)
	if diags.HasErrors() {
		return resolved{}, diags
	}
	block.ConfigJSON = values.JSON
	found, resources, err := probe.Validate(ctx, values.JSON)
	if err != nil {
		return resolved{}, append(diags, plainFinding(c, p.ID, "The plugin did not check its configuration", err)...)
	}
	diags = append(diags, c.PluginDiagnostics(p.ID, found)...)
	if diags.HasErrors() {
		return resolved{}, diags
	}
	sb, err := journalled(p, values, resources, strings.TrimPrefix(string(probe.Digest), digestPrefix))
	if err != nil {
		return resolved{}, append(diags, plainFinding(c, p.ID, "The block cannot be journalled", err)...)
	}
	return resolved{sb, block}, diags
}

func journalled(p *config.Plugin, values config.PluginConfig, resources []lifecycle.Resource, digest string) (swap.Block, error) {
	raw, err := json.Marshal(stored{Config: values, Own: p.Block})
	if err != nil {
		return swap.Block{}, err
	}
	b := swap.Block{
		ID: swapID(p.ID), Command: p.Command, Checksums: p.Checksum, Digest: digest, Config: raw, Resources: resources,
	}
	for _, part := range []config.PluginConfig{values, p.Block} {
		for _, s := range part.Secrets {
			b.Secrets = append(b.Secrets, swap.Secret{Path: s.Path, Expr: s.Expr + s.Digest})
		}
	}
	sum := sha256.Sum256(append([]byte(b.ID.String()+"\x00"), raw...))
	b.Hash = hex.EncodeToString(sum[:])
	return b, nil
}

// hostBlock is a plugin block as the host takes it, without its config.
func hostBlock(p *config.Plugin) host.Block {
	return host.Block{Kind: p.ID.Kind, Label: p.ID.Name, Command: p.Command, Checksums: p.Checksum, Env: reveal(p.Env)}
}

func reveal(env map[string]config.Secret) map[string]string {
	out := make(map[string]string, len(env))
	for k, v := range env {
		out[k] = v.Reveal()
	}
	return out
}

func plainFinding(c *config.Config, id config.PluginID, summary string, err error) config.Diagnostics {
	return c.PluginDiagnostics(id, diag.Diagnostics{{Severity: diag.Error, Summary: summary, Detail: err.Error()}})
}

func swapID(id config.PluginID) swap.PluginID { return swap.PluginID{Kind: id.Kind, Label: id.Name} }

// desired turns a configuration into what swap wants. The diagnostics have positions; an error among them means that
// there is no desired state.
func (n *Node) desired(ctx context.Context, c *config.Config) (swap.Desired, config.Diagnostics, error) {
	if err := supported(c); err != nil {
		return swap.Desired{}, nil, err
	}
	d := swap.Desired{Roles: map[swap.Role]swap.Route{}, Plugins: map[swap.PluginID]swap.Block{}, Hash: c.Hash, Source: c.Path}
	var diags config.Diagnostics
	for _, r := range c.Roles {
		d.Roles[roleOf(r.ID)] = routeOf(r.Route)
		for _, id := range r.Route.Plugins() {
			if _, done := d.Plugins[swapID(id)]; done {
				continue
			}
			p, ok := c.Plugin(id)
			if !ok {
				return swap.Desired{}, diags, fmt.Errorf("role %s names %s, which has no block", r.ID, id)
			}
			one, found := resolve(ctx, n.host, c, p)
			diags = append(diags, found...)
			if found.HasErrors() {
				continue
			}
			d.Plugins[swapID(id)] = one.block
			n.blocks.remember(one.block.Hash, one.host)
		}
	}
	if diags.HasErrors() {
		return d, diags, nil
	}
	d, found, err := n.steered(ctx, c, d)
	return d, append(diags, found...), err
}

func roleOf(id config.RoleID) swap.Role {
	if id.Purpose == "" {
		return swap.Role(id.Kind)
	}
	return swap.Role(string(id.Kind) + "/" + string(id.Purpose))
}

func routeOf(r config.Route) swap.Route {
	pointer := func(id config.PluginID) *swap.PluginID {
		if id.IsZero() {
			return nil
		}
		out := swapID(id)
		return &out
	}
	out := swap.Route{Primary: swapID(r.Primary), Fallback: pointer(r.Fallback), Shadow: pointer(r.Shadow)}
	if r.Canary != nil {
		out.Canary = &swap.Canary{Plugin: swapID(r.Canary.Plugin), Percent: float64(r.Canary.Percent)}
	}
	return out
}
