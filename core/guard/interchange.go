package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/signer"
)

// ExportFormat names the interchange format of Export and Import.
const ExportFormat = "alys-guard/1"

// MaxExportSize is the longest export that Import reads, in bytes.
const MaxExportSize = 64 << 20

// ErrNotAnExport means that the bytes are not an export, or one of another chain or format.
var ErrNotAnExport = errors.New("not a guard export of this chain")

type export struct {
	Format     string            `json:"format"`
	Genesis    chain.Hash        `json:"genesis"`
	ExportedAt chain.UnixMilli   `json:"exported_at"`
	Keys       []exportedKey     `json:"keys"`
	Payments   []exportedPayment `json:"payments"`
	Released   []exportedRelease `json:"released"`
}

// exportedKey is the mark of an approval key with, when known, the block that was approved at exactly that slot.
type exportedKey struct {
	Key       signer.KeyID       `json:"key"`
	Slot      chain.Slot         `json:"slot,string"`
	Height    chain.Height       `json:"height,string"`
	Block     chain.Hash         `json:"block"`
	Signature chain.BLSSignature `json:"signature"`
}

// Export gives everything that another guard must know to take over, as JSON. Stop this node for good before the other
// signs: two nodes with one key is how validators are lost.
func (g *Guard) Export(ctx context.Context) ([]byte, error) {
	x := export{
		Format: ExportFormat, Genesis: g.opts.Genesis, ExportedAt: g.now(),
		Keys: []exportedKey{}, Payments: []exportedPayment{}, Released: []exportedRelease{},
	}
	err := g.each(ctx, func(id signer.KeyID, s *state) {
		if id == BitcoinID {
			x.Payments, x.Released = s.exportPayments(), s.exportReleases()
			return
		}
		k := exportedKey{Key: id, Slot: s.mark.Slot, Height: s.mark.Height}
		if last := s.top(); last.height == s.mark.Height {
			k.Block, k.Signature = last.block, last.signature
		}
		x.Keys = append(x.Keys, k)
	})
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode guard export: %w", err)
	}
	return append(b, '\n'), nil
}

// ImportReport says what an import changed.
type ImportReport struct {
	Raised   []signer.Floor // keys whose mark went up, or that lost a reservation, at the new mark
	Known    []signer.KeyID // keys whose mark was at or above the import's, with nothing reserved below it
	Payments int            // versions of payments that were new
	Released int            // voided payments that were new
}

// Import merges an export: each mark becomes the higher of the two, payments are added, voided payments are barred, and
// nothing is ever lowered or freed: a payment that was voided there and holds outpoints here waits for ReleaseBitcoin.
// An import that gives an outpoint or a version to another payment than ours is refused as a whole, before anything is
// written. One that has another block than ours in a slot shows that two nodes used one key: its floors are raised all the
// same, because both nodes are safer with them, and then it is refused. What was reserved here and not signed, at or below
// the export's mark, is never signed any more. Importing the same export twice changes nothing.
func (g *Guard) Import(ctx context.Context, data []byte) (ImportReport, error) {
	var report ImportReport
	x, err := decodeExport(data)
	if err != nil {
		return report, err
	}
	if x.Genesis != g.opts.Genesis {
		return report, fmt.Errorf("the export is of genesis %s and this chain is %s: %w", x.Genesis, g.opts.Genesis, ErrNotAnExport)
	}
	if err := g.importBitcoin(ctx, x, &report); err != nil {
		return report, err
	}
	var conflicts []error
	for _, k := range x.Keys {
		raised, err := g.raise(ctx, k)
		if raised != nil {
			report.Raised = append(report.Raised, *raised)
		}
		switch reason, _ := ReasonOf(err); {
		case reason == ReasonImportConflicts:
			conflicts = append(conflicts, err)
		case err != nil:
			return report, err
		case raised == nil:
			report.Known = append(report.Known, k.Key)
		}
	}
	return report, errors.Join(conflicts...)
}

// CheckExport reports whether Import could read an export, on a node of its chain: ErrNotAnExport says why not.
func CheckExport(data []byte) error {
	_, err := decodeExport(data)
	return err
}

// decodeExport reads and checks an export by itself.
func decodeExport(data []byte) (export, error) {
	var x export
	if len(data) > MaxExportSize {
		return x, fmt.Errorf("the export has %d bytes, at most %d are read: %w", len(data), MaxExportSize, ErrNotAnExport)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&x); err != nil {
		return x, fmt.Errorf("%w: %w", ErrNotAnExport, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return x, fmt.Errorf("something follows the export: %w", ErrNotAnExport)
	}
	if x.Format != ExportFormat {
		return x, fmt.Errorf("format %q, want %q: %w", x.Format, ExportFormat, ErrNotAnExport)
	}
	for i, k := range x.Keys {
		public, err := approvalKey(k.Key)
		if err != nil {
			return x, fmt.Errorf("key %d: %w: %w", i, ErrNotAnExport, err)
		}
		if !k.Signature.IsZero() && !bls.Verify(public, signer.BlockApprovalRoot(k.Block), k.Signature) {
			return x, fmt.Errorf("key %d (%s): the signature does not verify: %w", i, k.Key, ErrNotAnExport)
		}
	}
	for i, p := range x.Payments {
		if err := p.payment().check(); err != nil {
			return x, fmt.Errorf("payment %d: %w: %w", i, ErrNotAnExport, err)
		}
	}
	for i, r := range x.Released {
		if r.Payment.IsZero() || r.Block.IsZero() {
			return x, fmt.Errorf("released payment %d has no name or no block: %w", i, ErrNotAnExport)
		}
	}
	return x, nil
}

// raise writes a floor when it is higher than the mark in slot or height, or covers something that is reserved; it gives
// the new mark, or nil. A block that is not ours in a slot where we have one is refused once that is written.
func (g *Guard) raise(ctx context.Context, k exportedKey) (*signer.Floor, error) {
	start := g.opts.Now()
	if _, err := approvalKey(k.Key); err != nil {
		return nil, &RefusedError{Reason: ReasonNotAnApprover, Key: k.Key, Slot: k.Slot, Height: k.Height, Detail: err.Error()}
	}
	var raised *signer.Floor
	var conflict error
	err := g.update(ctx, k.Key, func(s *state) (*Record, error) {
		raised, conflict = nil, s.conflict(k)
		r := s.next(KindFloor, g.now())
		r.Mark = Mark{max(k.Slot, s.mark.Slot), max(k.Height, s.mark.Height)}
		r.Slot, r.Height = k.Slot, k.Height
		if s.takes(k) {
			r.Block, r.Signature = k.Block, k.Signature
		}
		if r.Mark == s.mark && !s.bars(r) {
			return nil, nil
		}
		raised = &signer.Floor{Key: k.Key, Slot: r.Mark.Slot, Height: r.Mark.Height}
		return &r, nil
	})
	event := Event{Kind: EventRaised, Key: k.Key, Slot: k.Slot, Height: k.Height, Block: k.Block, Err: err}
	if raised != nil || err != nil {
		g.observe(event, start)
	}
	if err != nil {
		return nil, err
	}
	if event.Err = conflict; conflict != nil {
		g.observe(event, start)
	}
	return raised, conflict
}

// takes reports whether the block of an export becomes ours, to be signed or answered here: it is above all that we have,
// or it is the one that we reserved and did not sign. Else theirs is never repeated.
func (s *state) takes(k exportedKey) bool {
	ours, ok := s.approvals[k.Slot]
	if ok {
		return !ours.barred && ours.signature.IsZero() && ours.block == k.Block && ours.height == k.Height
	}
	return k.Slot > s.mark.Slot && k.Height >= s.mark.Height
}

// conflict is a refusal when an export has another block than ours in a slot.
func (s *state) conflict(k exportedKey) error {
	ours, ok := s.approvals[k.Slot]
	if !ok || k.Block.IsZero() || ours.block == k.Block {
		return nil
	}
	return &RefusedError{
		Reason: ReasonImportConflicts, Key: k.Key, Slot: k.Slot, Height: k.Height, Block: k.Block,
		Detail: fmt.Sprintf("block %s at height %s was reserved here for this slot: two nodes used the key", ours.block.Short(), ours.height),
	}
}
