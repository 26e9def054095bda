package guard

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/alys-node/alys/sdk/chain"
)

type exportedPayment struct {
	Payment   chain.Hash         `json:"payment"`
	Version   uint32             `json:"version"`
	TxID      chain.Hash         `json:"txid"` // natural byte order
	Outpoints []exportedOutpoint `json:"outpoints"`
}

type exportedOutpoint struct {
	TxID chain.Hash `json:"txid"` // natural byte order
	Vout uint32     `json:"vout"`
}

// exportedRelease is a payment that was voided: it is never signed again.
type exportedRelease struct {
	Payment chain.Hash   `json:"payment"`
	Height  chain.Height `json:"height,string"` // of the void's block
	Block   chain.Hash   `json:"block"`
}

func (p exportedPayment) payment() Payment {
	out := Payment{ID: p.Payment, Version: p.Version, TxID: p.TxID}
	for _, o := range p.Outpoints {
		out.Outpoints = append(out.Outpoints, Outpoint(o))
	}
	return out
}

func (r exportedRelease) release() Release {
	return Release{Payment: r.Payment, Void: chain.Ref{Height: r.Height, Hash: r.Block}}
}

func (s *state) exportPayments() []exportedPayment {
	out := make([]exportedPayment, 0, s.versions())
	for id, p := range s.payments {
		outpoints := make([]exportedOutpoint, 0, len(p.outpoints))
		for _, o := range p.outpoints {
			outpoints = append(outpoints, exportedOutpoint(o))
		}
		for version, txid := range p.versions {
			out = append(out, exportedPayment{Payment: id, Version: version, TxID: txid, Outpoints: outpoints})
		}
	}
	slices.SortFunc(out, func(a, b exportedPayment) int {
		if c := bytes.Compare(a.Payment[:], b.Payment[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.Version, b.Version)
	})
	return out
}

func (s *state) exportReleases() []exportedRelease {
	out := make([]exportedRelease, 0, len(s.released))
	for id, void := range s.released {
		out = append(out, exportedRelease{id, void.Height, void.Hash})
	}
	slices.SortFunc(out, func(a, b exportedRelease) int { return bytes.Compare(a.Payment[:], b.Payment[:]) })
	return out
}

// importBitcoin bars and adds payments after all of them were found to agree with ours and with each other.
func (g *Guard) importBitcoin(ctx context.Context, x export, report *ImportReport) error {
	if len(x.Payments) == 0 && len(x.Released) == 0 {
		return nil
	}
	err := g.with(ctx, BitcoinID, func(s *state) error { return s.checkImport(x) })
	if err != nil {
		return err
	}
	add := func(count *int, decide func(*state) (*Record, error)) error {
		var wrote bool
		err := g.update(ctx, BitcoinID, func(s *state) (*Record, error) {
			r, err := decide(s)
			wrote = r != nil
			return r, err
		})
		if err == nil && wrote {
			*count++
		}
		return err
	}
	for _, e := range x.Released {
		if err := add(&report.Released, func(s *state) (*Record, error) { return s.importRelease(e.release(), g.now()) }); err != nil {
			return err
		}
	}
	for _, e := range x.Payments {
		if err := add(&report.Payments, func(s *state) (*Record, error) { return s.importPayment(e.payment(), g.now()) }); err != nil {
			return err
		}
	}
	return nil
}

// checkImport tries an export on what is recorded and on nothing: it must agree with both.
func (s *state) checkImport(x export) error {
	trial := newState()
	for _, e := range x.Released {
		trial.apply(e.release().record(trial, 0), Version{})
	}
	for _, e := range x.Payments {
		p := e.payment()
		if _, ok := trial.released[p.ID]; ok {
			return p.refuse(ReasonImportConflicts, "the export has it as voided and as not voided")
		}
		if _, err := s.importPayment(p, 0); err != nil {
			return err
		}
		r, err := trial.importPayment(p, 0)
		if err != nil {
			return err
		}
		if r != nil {
			trial.apply(*r, Version{})
		}
	}
	return nil
}

// importRelease bars a payment that holds nothing here. One that does is left to ReleaseBitcoin, which sees the void.
func (s *state) importRelease(r Release, at chain.UnixMilli) (*Record, error) {
	_, barred := s.released[r.Payment]
	_, holds := s.payments[r.Payment]
	if barred || holds {
		return nil, nil
	}
	rec := r.record(s, at)
	return &rec, nil
}

// importPayment adds a version of a payment; one that was voided here stays barred.
func (s *state) importPayment(p Payment, at chain.UnixMilli) (*Record, error) {
	if _, ok := s.released[p.ID]; ok {
		return nil, nil
	}
	recorded, reason, detail := s.decideBitcoin(p)
	if reason != "" {
		return nil, p.refuse(ReasonImportConflicts, "%s", detail)
	}
	if recorded {
		return nil, nil
	}
	rec := p.record(s, at)
	return &rec, nil
}
