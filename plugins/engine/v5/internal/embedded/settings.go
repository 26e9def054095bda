package embedded

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/alys-node/alys/plugins/internal/geth"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
)

// modeEmbedded is the only mode of today.
const modeEmbedded = "embedded"

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
}

// Schema implements lifecycle.Plugin.
func (*Engine) Schema() schema.Block {
	return schema.Block{
		Doc: "An execution engine with geth inside, to Prague.",
		Attributes: []schema.Attribute{
			{
				Name: "mode", Type: schema.String, Default: `"embedded"`,
				Doc: `"embedded" runs geth in the plugin's own process.`,
			},
			{
				Name: "cache", Type: schema.Size, Default: `"64MiB"`,
				Doc: "Memory for database and state caches; the process takes about 100 MiB beside it.",
			},
			{
				Name: "archive", Type: schema.Bool, Default: "false",
				Doc: "Keep the state of every block, so that wallets can ask for old balances; takes more disk.",
			},
			{
				Name: "min_free", Type: schema.Size, Default: `"256MiB"`,
				Doc: "Free disk space below which the engine stops taking work, before a write fails.",
			},
			{
				Name: "verbose", Type: schema.Bool, Default: "false",
				Doc: "Log what geth says of every block, at debug; its warnings are always logged. Slows a sync.",
			},
		},
	}
}

// Validate implements lifecycle.Plugin.
func (*Engine) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	var s settings
	if ds := c.Check(&s); ds.HasErrors() {
		return ds
	}
	ds := s.check()
	if p := socket(c.Host); len(p) > maxSocketPath {
		ds = append(ds, diag.Errorf(nil, "use a shorter data_dir",
			"the wallet socket's path has %d bytes, the system allows %d: %s", len(p), maxSocketPath, p))
	}
	if len(c.Host.GenesisJSON) == 0 {
		return ds // asked without a chain
	}
	if _, err := readGenesis(c.Host); err != nil {
		ds = append(ds, diag.Errorf(nil, "correct the execution genesis of the chain spec", "%s", err))
	}
	return ds
}

func (s settings) check() (ds diag.Diagnostics) {
	switch s.Mode {
	case "", modeEmbedded:
	case "external":
		ds = append(ds, diag.Errorf([]string{"mode"}, `write mode = "embedded"; to follow a geth of your own is not supported yet`,
			`mode "external" is not supported, only "embedded"`))
	default:
		ds = append(ds, diag.Errorf([]string{"mode"}, `write mode = "embedded"`, "mode is %q", s.Mode))
	}
	if s.Cache != 0 && (s.Cache < minCache || s.Cache > maxCache) {
		ds = append(ds, diag.Errorf([]string{"cache"}, `write a size from "32MiB" to "64GiB"`, "cache is %d bytes", s.Cache))
	}
	if s.MinFree < 0 {
		ds = append(ds, diag.Errorf([]string{"min_free"}, `write a size like "256MiB"`, "min_free is %d bytes", s.MinFree))
	}
	return ds
}

// Resources implements lifecycle.PluginWithResources: geth's folder can be open in one process.
// A probe is asked too: it is told the folder and opens nothing there.
func (*Engine) Resources(_ context.Context, c lifecycle.Config) ([]lifecycle.Resource, error) {
	if c.Host.DataDir == "" {
		return nil, nil
	}
	return []lifecycle.Resource{{Kind: "path", Value: c.Host.DataDir}}, nil
}

// load makes geth's configuration for Configure.
func load(c lifecycle.Config) (geth.Config, error) {
	var s settings
	if err := c.Decode(&s); err != nil {
		return geth.Config{}, err
	}
	if err := s.check().Err(); err != nil {
		return geth.Config{}, err
	}
	if c.Host.DataDir == "" || c.Host.RunDir == "" {
		return geth.Config{}, errors.New("the host told no data folder or no run folder")
	}
	g, err := readGenesis(c.Host)
	if err != nil {
		return geth.Config{}, err
	}
	return geth.Config{
		DataDir: c.Host.DataDir, Genesis: g, WalletSocket: socket(c.Host), Archive: s.Archive, Verbose: s.Verbose,
		Cache: uint64(s.Cache), MinFree: uint64(s.MinFree),
	}, nil
}

func readGenesis(h lifecycle.Host) (*geth.Genesis, error) {
	g, err := geth.ParseGenesis(h.GenesisJSON)
	if err != nil {
		return nil, err
	}
	if h.ChainID != 0 && h.ChainID != g.ChainID() {
		return nil, fmt.Errorf("%w: its chain id is %d, the chain's is %d", geth.ErrGenesis, g.ChainID(), h.ChainID)
	}
	return g, nil
}

func socket(h lifecycle.Host) string { return filepath.Join(h.RunDir, "wallet.sock") }
