package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/sdk/lifecycle"
)

// Pin says how a plugin's program stands to the checksums of its block.
type Pin string

// The pins.
const (
	PinMatches  Pin = "pinned"
	PinDiffers  Pin = "differs"    // it is not the program that alys.hcl pins
	PinMissing  Pin = "not pinned" // there is no checksum
	PinNotAsked Pin = ""           // no block names the program, or there is no program
)

// ListedPlugin is a plugin block, or a program in plugin_dir that no block names.
type ListedPlugin struct {
	ID      string         `json:"id"` // KIND.NAME; empty for a program without a block
	Kind    lifecycle.Kind `json:"kind"`
	Command string         `json:"command"`
	Name    string         `json:"name"`    // the implementation's own; empty when it was not started
	Version string         `json:"version"` // empty when it was not started
	Digest  string         `json:"digest"`
	Pin     Pin            `json:"pin"`
	Roles   []string       `json:"roles"` // "signer primary"
	Problem string         `json:"problem,omitempty"`
}

// ListPlugins lists the blocks of a configuration in their order, then the programs in plugin_dir that no block names. A
// program is started, as a probe, only where a node would start it: when it is pinned, or on a dev chain.
func ListPlugins(ctx context.Context, c *config.Config) ([]ListedPlugin, error) {
	h, err := proberHost(c)
	if err != nil {
		return nil, err
	}
	defer h.Close() //nolint:errcheck // only its probes' folders are left to remove
	s, err := loadSpec(c)
	if err != nil {
		return nil, err
	}
	var out []ListedPlugin
	for _, p := range c.Plugins {
		out = append(out, listOne(ctx, h, hostBlock(p), s.Dev, rolesOf(c, p.ID)))
	}
	loose, err := unnamed(c)
	if err != nil {
		return nil, err
	}
	for _, command := range loose {
		b := host.Block{Kind: kindByName(command), Label: "listed", Command: command}
		one := listOne(ctx, h, b, s.Dev && b.Kind != "", nil)
		one.ID, one.Pin = "", PinNotAsked
		out = append(out, one)
	}
	return out, nil
}

func listOne(ctx context.Context, h *host.Host, b host.Block, dev bool, roles []string) ListedPlugin {
	one := ListedPlugin{ID: string(b.Kind) + "." + b.Label, Kind: b.Kind, Command: b.Command, Roles: roles}
	if one.Roles == nil {
		one.Roles = []string{}
	}
	digest, err := h.Checksum(ctx, b.Command)
	if err != nil {
		one.Problem = err.Error()
		return one
	}
	one.Digest = string(digest)
	switch {
	case len(b.Checksums) == 0:
		one.Pin = PinMissing
	case slices.ContainsFunc(b.Checksums, func(c string) bool { d, err := host.ParseDigest(c); return err == nil && d == digest }):
		one.Pin = PinMatches
	default:
		one.Pin = PinDiffers
	}
	if one.Pin == PinDiffers || one.Pin == PinMissing && !dev {
		return one
	}
	in, err := inspect(ctx, h, b)
	if err != nil {
		one.Problem = err.Error()
	}
	one.Name, one.Version = in.Name, in.Version
	return one
}

// proberHost runs probes of whatever the operator names: a missing pin does not matter.
func proberHost(c *config.Config) (*host.Host, error) {
	return changedHost(c, func(h *host.Config) { h.RequireChecksum = false })
}

func rolesOf(c *config.Config, id config.PluginID) []string {
	var out []string
	for _, r := range c.Roles {
		for _, p := range []struct {
			position string
			plugin   config.PluginID
		}{{"primary", r.Route.Primary}, {"fallback", r.Route.Fallback}, {"shadow", r.Route.Shadow}} {
			if p.plugin == id {
				out = append(out, fmt.Sprintf("%s %s", r.ID, p.position))
			}
		}
		if r.Route.Canary != nil && r.Route.Canary.Plugin == id {
			out = append(out, fmt.Sprintf("%s canary", r.ID))
		}
	}
	return out
}

// unnamed lists the programs in plugin_dir that no block names.
func unnamed(c *config.Config) ([]string, error) {
	dir := pluginDir(c)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list plugin_dir: %w", err)
	}
	var out []string
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		program := err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
		named := slices.ContainsFunc(c.Plugins, func(p *config.Plugin) bool {
			return p.Command == e.Name() || p.Command == filepath.Join(dir, e.Name())
		})
		if program && !named {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// kindByName reads the kind from a program's name, alys-KIND-NAME; it is empty for another name.
func kindByName(command string) lifecycle.Kind {
	rest, _ := strings.CutPrefix(command, "alys-")
	for _, k := range lifecycle.Kinds() {
		if strings.HasPrefix(rest, string(k)+"-") && rest != command {
			return k
		}
	}
	return ""
}
