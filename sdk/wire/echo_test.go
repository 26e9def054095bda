package wire_test

import (
	"context"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/diag"
	"github.com/alys-node/alys/sdk/engine"
	"github.com/alys-node/alys/sdk/enginetest"
	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/schema"
	"github.com/alys-node/alys/sdk/signer"
	"github.com/alys-node/alys/sdk/signertest"
)

// heard is what an echo was asked last, and what it answers next. One call runs at a time.
type heard struct {
	asked  any
	answer any
}

// hear keeps a request and gives the answer, or the zero value where none is set.
func hear[T any](h *heard, asked any) (T, error) {
	h.asked = asked
	v, _ := h.answer.(T)
	return v, nil
}

// signerEcho is a signer that answers whatever the test wants.
type signerEcho struct {
	*signertest.Memory
	*heard
}

func (s signerEcho) Keys(context.Context) ([]signer.Key, error) {
	return hear[[]signer.Key](s.heard, nil)
}

func (s signerEcho) Approve(_ context.Context, a signer.Approval) (chain.BLSSignature, error) {
	return hear[chain.BLSSignature](s.heard, a)
}

func (s signerEcho) SignBitcoin(_ context.Context, r signer.BitcoinRequest) (signer.BitcoinAnswer, error) {
	return hear[signer.BitcoinAnswer](s.heard, r)
}

func (s signerEcho) Prove(_ context.Context, c signer.Challenge) (signer.Proof, error) {
	return hear[signer.Proof](s.heard, c)
}

func (s signerEcho) ApproveBatch(_ context.Context, as []signer.Approval) ([]signer.ApprovalResult, error) {
	return hear[[]signer.ApprovalResult](s.heard, as)
}

func (s signerEcho) RaiseFloor(_ context.Context, fs []signer.Floor) error {
	_, err := hear[any](s.heard, fs)
	return err
}

func (s signerEcho) SignUpdate(_ context.Context, u signer.Update) (chain.BLSSignature, error) {
	return hear[chain.BLSSignature](s.heard, u)
}

func (s signerEcho) Watch(ctx context.Context, handle func(context.Context, signer.Event) error) error {
	e, err := hear[signer.Event](s.heard, nil)
	if err != nil {
		return err
	}
	return handle(ctx, e)
}

func (s signerEcho) Unlock(_ context.Context, password signer.Secret) error {
	_, err := hear[any](s.heard, password)
	return err
}

func (s signerEcho) CreateKey(_ context.Context, k signer.NewKey) (signer.Key, error) {
	return hear[signer.Key](s.heard, k)
}

// exported is the request of ExportKey.
type exported struct {
	ID       signer.KeyID
	Password signer.Secret
}

func (s signerEcho) ExportKey(_ context.Context, id signer.KeyID, password signer.Secret) ([]byte, error) {
	return hear[[]byte](s.heard, exported{id, password})
}

func (s signerEcho) RemoveKey(_ context.Context, id signer.KeyID) error {
	_, err := hear[any](s.heard, id)
	return err
}

// engineEcho is an engine that answers whatever the test wants.
type engineEcho struct {
	*enginetest.Memory
	*heard
}

func (e engineEcho) Status(context.Context) (engine.Status, error) {
	return hear[engine.Status](e.heard, nil)
}

func (e engineEcho) Build(_ context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	return hear[chain.ExecutionData](e.heard, r)
}

func (e engineEcho) Import(_ context.Context, r engine.ImportRequest) (engine.ImportResult, error) {
	return hear[engine.ImportResult](e.heard, r)
}

func (e engineEcho) Payloads(_ context.Context, hs []chain.Hash) ([]*chain.ExecutionData, error) {
	return hear[[]*chain.ExecutionData](e.heard, hs)
}

func (e engineEcho) Receipts(_ context.Context, h chain.Hash) ([]chain.Receipt, error) {
	return hear[[]chain.Receipt](e.heard, h)
}

func (e engineEcho) AddTransactions(_ context.Context, txs [][]byte) ([]engine.AddResult, error) {
	return hear[[]engine.AddResult](e.heard, txs)
}

func (e engineEcho) PendingTransactions(_ context.Context, limit int) ([][]byte, error) {
	return hear[[][]byte](e.heard, limit)
}

// pluginEcho is a plugin with a description, schema, findings and claims of the test's.
type pluginEcho struct {
	*signertest.Memory
	described lifecycle.Description
	block     schema.Block
	findings  diag.Diagnostics
	resources []lifecycle.Resource
	asked     *lifecycle.Config
	health    lifecycle.Health
}

func (p pluginEcho) Describe() lifecycle.Description { return p.described }
func (p pluginEcho) Schema() schema.Block            { return p.block }

func (p pluginEcho) Validate(_ context.Context, c lifecycle.Config) diag.Diagnostics {
	*p.asked = c
	return p.findings
}

func (p pluginEcho) Resources(context.Context, lifecycle.Config) ([]lifecycle.Resource, error) {
	return p.resources, nil
}

func (p pluginEcho) Configure(context.Context, lifecycle.Config) error { return nil }
func (p pluginEcho) Health(context.Context) (lifecycle.Health, error)  { return p.health, nil }
