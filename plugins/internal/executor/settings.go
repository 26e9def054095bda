package executor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/alys-node/alys/plugins/internal/execution"
	"github.com/alys-node/alys/plugins/internal/external"
	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

// The modes.
const (
	modeEmbedded = "embedded"
	modeExternal = "external"
)

// Bounds of the settings, in bytes.
const (
	minCache = 32 << 20
	maxCache = 64 << 30
)

// maxSocketPath is what the kernel allows for a unix socket, in bytes.
const maxSocketPath = 107

// settings is the plugin's block. Zero stands for the default.
type settings struct {
	Mode    string `json:"mode"`
	Cache   int64  `json:"cache"`
	Archive bool   `json:"archive"`
	MinFree int64  `json:"min_free"`
	Verbose bool   `json:"verbose"`

	Endpoint string `json:"endpoint"`
	Secret   string `json:"jwt_secret"`
	RPC      string `json:"rpc"`
}

// Schema implements lifecycle.Plugin.
func (p *Plugin) Schema() schema.Block {
	return schema.Block{
		Doc: fmt.Sprintf("An execution engine to %s: geth inside, or an execution client of your own.", p.variant.Last),
		Attributes: []schema.Attribute{
			{
				Name: "mode", Type: schema.String, Default: `"embedded"`,
				Doc: `"embedded" runs geth in the plugin's own process, "external" drives an execution client that you run.`,
			},
			{
				Name: "cache", Type: schema.Size, Default: `"64MiB"`,
				Doc: "Embedded: memory for database and state caches; the process takes about 100 MiB beside it.",
			},
			{
				Name: "archive", Type: schema.Bool, Default: "false",
				Doc: "Embedded: keep the state of every block, so that wallets can ask for old balances; takes more disk.",
			},
			{
				Name: "min_free", Type: schema.Size, Default: `"256MiB"`,
				Doc: "Embedded: free disk space below which the engine stops taking work, before a write fails.",
			},
			{
				Name: "verbose", Type: schema.Bool, Default: "false",
				Doc: "Embedded: log what geth says of every block, at debug; its warnings are always logged. Slows a sync.",
			},
			{
				Name: "endpoint", Type: schema.String,
				Doc: `External: the client's Engine API, "http://127.0.0.1:8551".`,
			},
			{
				Name: "jwt_secret", Type: schema.Path,
				Doc: "External: the file of the secret that the client was started with (geth: --authrpc.jwtsecret), 64 hex digits.",
			},
			{
				Name: "rpc", Type: schema.String,
				Doc: `External: the client's public JSON-RPC, "http://127.0.0.1:8545", for wallets and to read its pool; it must serve eth, ` +
					"net, web3 and txpool, and nothing that administrates. Without it the node has no wallet RPC.",
			},
		},
	}
}

// Validate implements lifecycle.Plugin.
func (p *Plugin) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	var s settings
	if ds := c.Check(&s); ds.HasErrors() {
		return ds
	}
	ds := s.check()
	if path := socket(c.Host); !s.external() && len(path) > maxSocketPath {
		ds = append(ds, diag.Errorf(nil, "use a shorter data_dir",
			"the wallet socket's path has %d bytes, the system allows %d: %s", len(path), maxSocketPath, path))
	}
	if len(c.Host.GenesisJSON) == 0 {
		return ds // asked without a chain
	}
	if _, err := p.readGenesis(c.Host); err != nil {
		ds = append(ds, diag.Errorf(nil, "correct the execution genesis of the chain spec", "%s", err))
	}
	return ds
}

func (s settings) external() bool { return s.Mode == modeExternal }

func (s settings) check() (ds diag.Diagnostics) {
	switch s.Mode {
	case "", modeEmbedded:
		return s.checkEmbedded()
	case modeExternal:
		return s.checkExternal()
	}
	return diag.Diagnostics{diag.Errorf([]string{"mode"}, `write mode = "embedded" or mode = "external"`, "mode is %q", s.Mode)}
}

func (s settings) checkEmbedded() (ds diag.Diagnostics) {
	for _, a := range []struct{ name, value string }{{"endpoint", s.Endpoint}, {"jwt_secret", s.Secret}, {"rpc", s.RPC}} {
		if a.value != "" {
			ds = append(ds, diag.Errorf([]string{a.name}, `write mode = "external" to drive a client of your own, or remove the argument`,
				`%s is for mode "external"`, a.name))
		}
	}
	if s.Cache != 0 && (s.Cache < minCache || s.Cache > maxCache) {
		ds = append(ds, diag.Errorf([]string{"cache"}, `write a size from "32MiB" to "64GiB"`, "cache is %d bytes", s.Cache))
	}
	if s.MinFree < 0 {
		ds = append(ds, diag.Errorf([]string{"min_free"}, `write a size like "256MiB"`, "min_free is %d bytes", s.MinFree))
	}
	return ds
}

// Resources implements lifecycle.PluginWithResources: geth's folder can be open in one process, and an external client
// has one writer. A probe is asked too: it is told the folder and opens nothing there.
func (*Plugin) Resources(_ context.Context, c lifecycle.Config) ([]lifecycle.Resource, error) {
	var out []lifecycle.Resource
	if c.Host.DataDir != "" {
		out = append(out, lifecycle.Resource{Kind: "path", Value: c.Host.DataDir})
	}
	var s settings
	if err := c.Decode(&s); err != nil {
		return nil, err
	}
	if s.external() {
		if u, problem := clientURL(s.Endpoint); problem == "" {
			out = append(out, lifecycle.Resource{Kind: "port", Value: u.Host})
		}
	}
	return out, nil
}

// load reads the settings and the genesis for Configure.
func (p *Plugin) load(c lifecycle.Config) (settings, *execution.Genesis, error) {
	var s settings
	if err := c.Decode(&s); err != nil {
		return s, nil, err
	}
	if err := s.check().Err(); err != nil {
		return s, nil, err
	}
	if c.Host.DataDir == "" || c.Host.RunDir == "" {
		return s, nil, errors.New("the host told no data folder or no run folder")
	}
	g, err := p.readGenesis(c.Host)
	return s, g, err
}

func (s settings) embeddedConfig(g *execution.Genesis, h lifecycle.Host) geth.Config {
	return geth.Config{
		DataDir: h.DataDir, Genesis: g, WalletSocket: socket(h), Archive: s.Archive, Verbose: s.Verbose,
		Cache: uint64(s.Cache), MinFree: uint64(s.MinFree),
	}
}

func (s settings) externalConfig(g *execution.Genesis, h lifecycle.Host) external.Config {
	return external.Config{Genesis: g, Endpoint: trimmed(s.Endpoint), Secret: s.Secret, RPC: trimmed(s.RPC), DataDir: h.DataDir}
}

func (p *Plugin) readGenesis(h lifecycle.Host) (*execution.Genesis, error) {
	g, err := execution.ParseGenesis(h.GenesisJSON, p.variant.Last)
	if err != nil {
		return nil, err
	}
	if h.ChainID != 0 && h.ChainID != g.ChainID() {
		return nil, fmt.Errorf("%w: its chain id is %d, the chain's is %d", execution.ErrGenesis, g.ChainID(), h.ChainID)
	}
	return g, nil
}

func socket(h lifecycle.Host) string { return filepath.Join(h.RunDir, "wallet.sock") }
