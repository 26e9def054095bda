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
		if last, ok := s.approvals[s.mark.Slot]; ok && last.height == s.mark.Height {
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
	Raised   []signer.Floor // keys whose mark went up, at the new mark
	Known    []signer.KeyID // keys whose mark was at or above the import's
	Payments int            // versions of payments that were new
	Released int            // voided payments that were new
}

// Import merges an export: each mark becomes the higher of the two, payments are added, voided payments are barred, and
// nothing is ever lowered or freed: a payment that was voided there and holds outpoints here waits for ReleaseBitcoin.
// An import that gives an outpoint or a version to another payment than ours is refused as a whole, before anything is
// written. Importing the same export twice changes nothing.
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
	for _, k := range x.Keys {
		raised, err := g.raise(ctx, k)
		if err != nil {
			return report, err
		}
		if raised == nil {
			report.Known = append(report.Known, k.Key)
		} else {
			report.Raised = append(report.Raised, *raised)
		}
	}
	return report, nil
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

// raise writes a floor when it is higher than the mark in slot or height; it gives the new mark, or nil.
func (g *Guard) raise(ctx context.Context, k exportedKey) (*signer.Floor, error) {
	start := g.opts.Now()
	if _, err := approvalKey(k.Key); err != nil {
		return nil, &RefusedError{Reason: ReasonNotAnApprover, Key: k.Key, Slot: k.Slot, Height: k.Height, Detail: err.Error()}
	}
	var raised *signer.Floor
	err := g.update(ctx, k.Key, func(s *state) (*Record, error) {
		if k.Slot <= s.mark.Slot && k.Height <= s.mark.Height {
			return nil, nil
		}
		r := s.next(KindFloor, g.now())
		r.Mark = Mark{max(k.Slot, s.mark.Slot), max(k.Height, s.mark.Height)}
		r.Slot, r.Height = k.Slot, k.Height
		if k.Slot > s.mark.Slot && k.Height >= s.mark.Height { // else what we reserved stands, and theirs is never repeated
			r.Block, r.Signature = k.Block, k.Signature
		}
		raised = &signer.Floor{Key: k.Key, Slot: r.Mark.Slot, Height: r.Mark.Height}
		return &r, nil
	})
	if raised != nil || err != nil {
		g.observe(Event{Kind: EventRaised, Key: k.Key, Slot: k.Slot, Height: k.Height, Block: k.Block, Err: err}, start)
	}
	return raised, err
}
