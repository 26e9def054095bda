package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alys-node/alys/core/block"
	"github.com/alys-node/alys/core/guard"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
)

// Audited is what Audit found on disk.
type Audited struct {
	Blocks    []*block.Block // canonical, from height 1 to the head
	Approvals int            // approvals in the node's guard
	Signers   map[string]int // approvals in each signer's own guard
}

// Audit reads the disk of a stopped node. It is an error when a slot does not increase, when the node's guard or a
// signer's own holds two blocks for one slot, when they contradict each other, or when the head is a block that the guard
// did not approve.
func (n *Node) Audit() (out Audited, err error) {
	s, err := store.Open(store.Options{Dir: n.Dir})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if out.Blocks, err = canonical(s); err != nil {
		return out, err
	}
	approved, err := n.approvals(s, out.Blocks[0].Header.Genesis)
	if err != nil {
		return out, err
	}
	out.Approvals = len(approved)
	for _, b := range out.Blocks {
		if h, ok := approved[b.Header.Slot]; ok && h != b.Header.Hash() {
			return out, fmt.Errorf("slot %d: the chain has %s, the guard approved %s", b.Header.Slot, b.Header.Hash(), h)
		}
	}
	if head := out.Blocks[len(out.Blocks)-1].Header; approved[head.Slot] != head.Hash() {
		return out, fmt.Errorf("the guard did not approve the head %s", head.Hash())
	}
	out.Signers, err = n.signersAgree(approved)
	return out, err
}

func canonical(s *store.Store) ([]*block.Block, error) {
	heads, err := s.Heads()
	if err != nil {
		return nil, err
	}
	var out []*block.Block
	for height := chain.Height(1); height <= heads.Head.Height; height++ {
		hash, err := s.Canonical(height)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", height, err)
		}
		b, err := s.Block(hash)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", height, err)
		}
		if len(out) > 0 {
			last := out[len(out)-1].Header
			if b.Header.Slot <= last.Slot || b.Header.Parent != last.Hash() {
				return nil, fmt.Errorf("block %d in slot %d does not follow block %d in slot %d", height, b.Header.Slot, last.Height, last.Slot)
			}
		}
		out = append(out, b)
	}
	if len(out) == 0 {
		return nil, errors.New("the chain has no block")
	}
	return out, nil
}

// approvals reads the node's guard: what it approved by slot. What was signed under another genesis (a measurement) does
// not count.
func (n *Node) approvals(s *store.Store, genesis chain.Hash) (map[chain.Slot]chain.Hash, error) {
	out := map[chain.Slot]chain.Hash{}
	keys, err := s.Keys(n.t.Context())
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.Genesis != genesis {
			continue
		}
		records, _, err := s.Load(n.t.Context(), key)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if r.Kind != guard.KindApproval && r.Kind != guard.KindSignature {
				continue
			}
			if other, ok := out[r.Slot]; ok && other != r.Block {
				return nil, fmt.Errorf("the guard holds two blocks for slot %d: %s and %s", r.Slot, other, r.Block)
			}
			out[r.Slot] = r.Block
		}
	}
	return out, nil
}

// ownRecord is a line of a built-in signer's own guard.
type ownRecord struct {
	Kind  string      `json:"kind"`
	Slot  chain.Slot  `json:"slot"`
	Block *chain.Hash `json:"block"`
}

// signersAgree reads the guards of the built-in signers and holds each approval against the node's.
func (n *Node) signersAgree(approved map[chain.Slot]chain.Hash) (map[string]int, error) {
	out := map[string]int{}
	files, err := filepath.Glob(filepath.Join(n.Dir, "state", "signer", "*", "guard", "*", "*.guard"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.Split(strings.TrimPrefix(file, n.Dir), "/")[3]
		for line := range strings.Lines(string(raw)) {
			_, body, ok := strings.Cut(line, " ")
			if !ok || !strings.HasSuffix(line, "\n") {
				continue // a torn last line: written, never answered
			}
			var r ownRecord
			if err := json.Unmarshal([]byte(body), &r); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if r.Kind != "approval" {
				continue
			}
			out[name]++
			if r.Block == nil || approved[r.Slot] != *r.Block {
				return nil, fmt.Errorf("signer %s signed %v in slot %d, the node's guard holds %s", name, r.Block, r.Slot, approved[r.Slot])
			}
		}
	}
	return out, nil
}
