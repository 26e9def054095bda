package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/signer"
)

// Validate checks each plugin's own block by the plugin itself, as a probe. Nothing is configured, and the data folder
// is not touched but for the plugins' private copies.
func Validate(ctx context.Context, c *config.Config) config.Diagnostics {
	h, err := offlineHost(c)
	if err != nil {
		return c.Diagnose(config.Finding{Severity: diag.Error, Code: config.CodeInvalidValue, At: "node.data_dir", Summary: "Plugins cannot be started", Detail: err.Error()})
	}
	defer h.Close() //nolint:errcheck // only its probes' folders are left to remove
	var diags config.Diagnostics
	for _, p := range c.Plugins {
		_, found := resolve(ctx, h, c, p)
		diags = append(diags, found...)
	}
	if err := supported(c); err != nil {
		diags = append(diags, c.Diagnose(config.Finding{Severity: diag.Error, Code: config.CodeInvalidValue, Summary: err.Error()})...)
	}
	return diags
}

// offlineHost runs plugins while no node does.
func offlineHost(c *config.Config) (*host.Host, error) {
	return changedHost(c, func(*host.Config) {})
}

// changedHost is offlineHost with something of its configuration changed.
func changedHost(c *config.Config, change func(*host.Config)) (*host.Host, error) {
	s, err := loadSpec(c)
	if err != nil {
		return nil, err
	}
	genesis, err := s.Genesis()
	if err != nil {
		return nil, fmt.Errorf("genesis of %s: %w", s.Name, err)
	}
	hc := hostConfig(c, s, genesis.Header.Hash(), hclog.NewNullLogger(), nil)
	change(&hc)
	return host.New(hc)
}

// ExecutionGenesis is the execution layer's genesis of the configured chain, in geth's format.
func ExecutionGenesis(c *config.Config) ([]byte, error) {
	s, err := loadSpec(c)
	if err != nil {
		return nil, err
	}
	return s.GenesisJSON(), nil
}

// Checksum is the digest of a plugin's binary as it is now, as alys.hcl writes it.
func Checksum(ctx context.Context, c *config.Config, p *config.Plugin) (string, error) {
	h, err := offlineHost(c)
	if err != nil {
		return "", err
	}
	defer h.Close() //nolint:errcheck // nothing was started
	d, err := h.Checksum(ctx, p.Command)
	if err != nil {
		return "", err
	}
	return string(d), nil
}

// offlineGuard opens the guard of a data folder whose node does not run, without a clock to approve by.
func offlineGuard(ctx context.Context, dataDir string, do func(*guard.Guard) error) error {
	if !store.Exists(dataDir) { // opening would make one
		return fmt.Errorf("%s holds no node's data: name the folder with --data-dir, or the configuration with -c", dataDir)
	}
	s, err := store.Open(store.Options{Dir: dataDir})
	if err != nil {
		return err
	}
	g, err := guard.Open(ctx, guard.Options{
		Store: s, Genesis: s.Genesis(), Now: time.Now, SlotAt: func(time.Time) chain.Slot { return 0 },
	})
	if err == nil {
		err = do(g)
	}
	return errors.Join(err, s.Close())
}

// GuardExportOffline exports the guard of a stopped node.
func GuardExportOffline(ctx context.Context, dataDir string) (json.RawMessage, error) {
	var out json.RawMessage
	err := offlineGuard(ctx, dataDir, func(g *guard.Guard) error {
		raw, err := g.Export(ctx)
		out = raw
		return err
	})
	return out, err
}

// GuardImportOffline merges an export into the guard of a stopped node.
func GuardImportOffline(ctx context.Context, dataDir string, raw json.RawMessage) (admin.GuardImportResponse, error) {
	var out admin.GuardImportResponse
	err := offlineGuard(ctx, dataDir, func(g *guard.Guard) error {
		var err error
		out, err = importGuard(ctx, g, raw)
		return err
	})
	return out, err
}

// GuardText renders an exported guard for people.
func GuardText(raw json.RawMessage) (string, error) {
	var export struct {
		Genesis chain.Hash `json:"genesis"`
		Keys    []struct {
			Key    signer.KeyID `json:"key"`
			Slot   chain.Slot   `json:"slot,string"`
			Height chain.Height `json:"height,string"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(raw, &export); err != nil {
		return "", fmt.Errorf("read guard export: %w", err)
	}
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "chain %s\n", export.Genesis)
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "SLOT\tHEIGHT\tKEY")
	for _, k := range export.Keys {
		_, _ = fmt.Fprintf(t, "%d\t%d\t%s\n", k.Slot, k.Height, k.Key)
	}
	_ = t.Flush() // a strings.Builder takes everything
	return b.String(), nil
}
