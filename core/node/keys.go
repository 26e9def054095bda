package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alys-node/alys/core/admin"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

func (n *Node) keys() []admin.KeyStatus {
	head, _, _ := n.chain.Heads()
	var out []admin.KeyStatus
	for _, p := range n.live.all(lifecycle.Signer) {
		keys := p.keys.Load()
		if keys == nil || p.instance == nil {
			continue
		}
		for _, k := range *keys {
			out = append(out, n.keyStatus(p, k, head.Height))
		}
	}
	slices.SortFunc(out, func(a, b admin.KeyStatus) int { return strings.Compare(a.Plugin+a.ID, b.Plugin+b.ID) })
	return out
}

func (n *Node) keyStatus(p *process, k signer.Key, head chain.Height) admin.KeyStatus {
	s := keyStatus(p.id.Label, string(p.instance.State().Phase), k)
	s.Set = keySet(n.spec, k.ID, head)
	return s
}

func keyStatus(plugin, state string, k signer.Key) admin.KeyStatus {
	return admin.KeyStatus{
		ID: string(k.ID), Purpose: string(k.Purpose), Label: k.Label, Plugin: plugin, State: state, Possession: hex.EncodeToString(k.Possession),
	}
}

// keySet says whether a key is in the authority set or the federation at the head, or in a scheduled one above it.
func keySet(s *spec.Spec, id signer.KeyID, head chain.Height) string {
	if inSet(s.Set(head), id) {
		return admin.KeyInSet
	}
	for _, later := range s.Authorities {
		if later.From > head && inSet(later, id) {
			return admin.KeyComing
		}
	}
	return admin.KeyNotInSet
}

func inSet(a *spec.AuthoritySet, id signer.KeyID) bool {
	if k, err := id.BLS(); err == nil {
		_, in := a.Index(k)
		return in
	}
	k, err := id.Bitcoin()
	return err == nil && slices.Contains(a.BitcoinKeys, k)
}

// Unlock implements admin.Node.
func (n *Node) Unlock(ctx context.Context, r admin.UnlockRequest) error {
	p, err := n.signerNamed(r.Plugin, func(p *process) bool { return p.instance.State().Phase == "locked" })
	if err != nil {
		return err
	}
	c, err := p.client()
	if err != nil {
		return &admin.Error{Code: "unavailable", Message: err.Error()}
	}
	if err := c.Signer().Unlock(ctx, r.Password); err != nil {
		return keyError(err)
	}
	_, err = p.listKeys(ctx, c.Signer())
	return err
}

// CreateKey implements admin.Node.
func (n *Node) CreateKey(ctx context.Context, r admin.CreateKeyRequest) (admin.KeyStatus, error) {
	p, err := n.signerNamed(r.Plugin, func(*process) bool { return true })
	if err != nil {
		return admin.KeyStatus{}, err
	}
	c, err := p.client()
	if err != nil {
		return admin.KeyStatus{}, &admin.Error{Code: "unavailable", Message: err.Error()}
	}
	key, err := createKey(ctx, c.Signer(), r)
	if err != nil {
		return admin.KeyStatus{}, err
	}
	if _, err := p.listKeys(ctx, c.Signer()); err != nil {
		return admin.KeyStatus{}, err
	}
	head, _, _ := n.chain.Heads()
	s := n.keyStatus(p, key, head.Height)
	s.State = "ready" // the signer has just made it
	return s, nil
}

// ExportKey implements admin.Node.
func (n *Node) ExportKey(ctx context.Context, r admin.ExportKeyRequest) (admin.ExportKeyResponse, error) {
	holds := func(p *process) bool { return p.holds(signer.KeyID(r.Key)) }
	if r.Plugin == "" && !slices.ContainsFunc(n.live.all(lifecycle.Signer), holds) {
		return admin.ExportKeyResponse{}, keyError(fmt.Errorf("%s: %w", r.Key, signer.ErrUnknownKey))
	}
	p, err := n.signerNamed(r.Plugin, holds)
	if err != nil {
		return admin.ExportKeyResponse{}, err
	}
	c, err := p.client()
	if err != nil {
		return admin.ExportKeyResponse{}, &admin.Error{Code: "unavailable", Message: err.Error()}
	}
	return exportKey(ctx, c.Signer(), r)
}

func createKey(ctx context.Context, s signer.SignerWithKeyAdmin, r admin.CreateKeyRequest) (signer.Key, error) {
	key, err := s.CreateKey(ctx, signer.NewKey{
		Purpose: signer.Purpose(r.Purpose), Label: r.Label, Password: r.Password, Import: r.Import, ImportPassword: r.ImportPassword,
	})
	return key, keyError(err)
}

func exportKey(ctx context.Context, s signer.SignerWithKeyAdmin, r admin.ExportKeyRequest) (admin.ExportKeyResponse, error) {
	raw, err := s.ExportKey(ctx, signer.KeyID(r.Key), r.Password)
	return admin.ExportKeyResponse{Keystore: raw}, keyError(err)
}

func keyError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, signer.ErrWrongPassword):
		return &admin.Error{Code: "refused", Message: err.Error(), Hint: "nothing was changed; try the right one"}
	case errors.Is(err, signer.ErrLocked):
		return &admin.Error{Code: "refused", Message: err.Error(), Hint: "unlock it first (`alys keys unlock --plugin LABEL`), or name the password to seal the key under (`alys keys new --password-file FILE`)"}
	case errors.Is(err, signer.ErrUnknownKey):
		return &admin.Error{Code: "unknown", Message: err.Error(), Hint: "`alys keys list` shows the keys"}
	case errors.Is(err, lifecycle.ErrUnsupported):
		return &admin.Error{Code: "refused", Message: err.Error(), Hint: "this signer's keys are made and kept where it keeps them: see its own manual"}
	case errors.Is(err, signer.ErrRefused):
		return &admin.Error{Code: "refused", Message: err.Error()}
	}
	return err
}

// signerNamed finds a live signer by label, or the only one that fits.
func (n *Node) signerNamed(label string, fits func(*process) bool) (*process, error) {
	var found []*process
	var names []string
	for _, p := range n.live.all(lifecycle.Signer) {
		if p.instance == nil {
			continue
		}
		names = append(names, p.id.Label)
		if p.id.Label == label || label == "" && fits(p) {
			found = append(found, p)
		}
	}
	slices.Sort(names)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1 && label != "": // two generations of one plugin, in a probation: the newer one
		slices.SortFunc(found, func(a, b *process) int { return int(b.generation) - int(a.generation) })
		return found[0], nil
	case len(found) > 1:
		return nil, &admin.Error{Code: "unknown", Message: "several signers fit", Hint: "name one with --plugin: " + strings.Join(names, ", ")}
	}
	return nil, &admin.Error{Code: "unknown", Message: fmt.Sprintf("no signer %q fits", label), Hint: "signers that run: " + strings.Join(names, ", ")}
}
