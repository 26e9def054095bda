package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/config"
	"github.com/alys-node/alys/core/host"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// withSigner starts a signer of the configuration for a moment. It holds the data folder's lock meanwhile, so that no
// node starts the same signer beside it: store.ErrLocked when one runs there.
func withSigner(ctx context.Context, c *config.Config, label string, do func(p *config.Plugin, g *host.Generation) error) error {
	p, err := findSigner(c, label)
	if err != nil {
		return err
	}
	lock, err := store.Lock(c.Node.DataDir)
	if err != nil {
		return err
	}
	h, err := offlineHost(c)
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	one, diags := resolve(ctx, h, c, p)
	err = diags.Err()
	if err == nil {
		err = launchOnce(ctx, h, one, func(g *host.Generation) error { return do(p, g) })
	}
	return errors.Join(err, h.Close(), lock.Close())
}

func findSigner(c *config.Config, label string) (*config.Plugin, error) {
	var found []*config.Plugin
	var names []string
	for _, p := range c.Plugins {
		if p.ID.Kind != lifecycle.Signer {
			continue
		}
		names = append(names, p.ID.Name)
		if label == "" || p.ID.Name == label {
			found = append(found, p)
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%s has no signer: add a block plugin \"signer\" \"local\"", c.Path)
	case len(found) == 0:
		return nil, fmt.Errorf("there is no signer %q in %s: it has %s", label, c.Path, strings.Join(names, ", "))
	case len(found) > 1:
		return nil, fmt.Errorf("there are %d signers in %s: name one with --plugin: %s", len(found), c.Path, strings.Join(names, ", "))
	}
	return found[0], nil
}

func launchOnce(ctx context.Context, h *host.Host, one resolved, do func(*host.Generation) error) error {
	g, err := h.Launch(ctx, one.host, host.Digest(digestPrefix+one.block.Digest))
	if err != nil {
		return err
	}
	err = do(g)
	g.Stop(ctx)
	return err
}

// CreateKeyOffline makes a key in a signer while no node runs.
func CreateKeyOffline(ctx context.Context, c *config.Config, r admin.CreateKeyRequest) (admin.KeyStatus, error) {
	var out admin.KeyStatus
	err := withSigner(ctx, c, r.Plugin, func(p *config.Plugin, g *host.Generation) error {
		key, err := createKey(ctx, g.Client().Signer(), r)
		out = keyStatus(p.ID.Name, "ready", key)
		return err
	})
	return out, err
}

// KeysOffline lists the keys of every signer in the configuration while no node runs.
func KeysOffline(ctx context.Context, c *config.Config) ([]admin.KeyStatus, error) {
	var out []admin.KeyStatus
	for _, p := range c.Plugins {
		if p.ID.Kind != lifecycle.Signer {
			continue
		}
		err := withSigner(ctx, c, p.ID.Name, func(p *config.Plugin, g *host.Generation) error {
			keys, err := g.Client().Signer().Keys(ctx)
			for _, k := range keys {
				out = append(out, keyStatus(p.ID.Name, string(g.LastHealth().State), k))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ExportKeyOffline takes a sealed copy of a key out of a signer while no node runs. A signer that is locked is unlocked
// for the moment with the password that unlock gives. Without a plugin's label the signers are asked one after the other.
func ExportKeyOffline(ctx context.Context, c *config.Config, r admin.ExportKeyRequest, unlock func() ([]byte, error)) (admin.ExportKeyResponse, error) {
	if r.Plugin != "" {
		if _, err := findSigner(c, r.Plugin); err != nil {
			return admin.ExportKeyResponse{}, err
		}
	}
	for _, p := range c.Plugins {
		if p.ID.Kind != lifecycle.Signer || r.Plugin != "" && p.ID.Name != r.Plugin {
			continue
		}
		var out admin.ExportKeyResponse
		held := false
		err := withSigner(ctx, c, p.ID.Name, func(_ *config.Plugin, g *host.Generation) (err error) {
			if held, err = openFor(ctx, g, signer.KeyID(r.Key), unlock); err == nil && held {
				out, err = exportKey(ctx, g.Client().Signer(), r)
			}
			return err
		})
		if err != nil || held {
			return out, err
		}
	}
	return admin.ExportKeyResponse{}, keyError(fmt.Errorf("%s: %w", r.Key, signer.ErrUnknownKey))
}

// openFor reports whether a signer lists a key, and unlocks it then where it is locked.
func openFor(ctx context.Context, g *host.Generation, id signer.KeyID, password func() ([]byte, error)) (bool, error) {
	s := g.Client().Signer()
	keys, err := s.Keys(ctx)
	if err != nil || !slices.ContainsFunc(keys, func(k signer.Key) bool { return k.ID == id }) {
		return false, err
	}
	if g.LastHealth().State != lifecycle.Locked {
		return true, nil
	}
	pw, err := password()
	if err != nil {
		return true, err
	}
	defer clear(pw)
	return true, keyError(s.Unlock(ctx, pw))
}
