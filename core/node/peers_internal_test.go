package node

import (
	"context"
	"errors"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/alys-node/alys/core/block"
	ledger "github.com/alys-node/alys/core/chain"
	"github.com/alys-node/alys/core/consensus"
	"github.com/alys-node/alys/core/driver"
	"github.com/alys-node/alys/core/follow"
	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/core/store"
	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/enginetest"
)

// newPeers is the network's end of a node of four authorities that has genesis and no consensus.
func newPeers(t *testing.T) *peers {
	t.Helper()
	s := spec.DevNodes(4)
	genesis, err := s.Genesis()
	must(t, err)
	db, err := store.Open(store.Options{Dir: t.TempDir(), Genesis: genesis.Header.Hash()})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	c, err := ledger.Open(t.Context(), ledger.Options{Spec: s, Store: db})
	must(t, err)
	v, err := newVerifier()
	must(t, err)
	signatures, err := lru.New[chain.Hash, chain.BLSSignature](authorSignatures)
	must(t, err)
	return &peers{
		spec: s, schedule: s.Agreement(), genesis: genesis.Header.Hash(), chain: c, store: db, verifier: v, now: time.Now,
		signatures: signatures, driver: func() *driver.Driver { return nil }, heard: func(network.Message) {}, slots: newSlotLog(s.Agreement(), time.Now),
	}
}

// proposed is a block on genesis by the author of a slot, with its signature.
func (p *peers) proposed(t *testing.T, slot chain.Slot) (*block.Block, chain.BLSSignature) {
	t.Helper()
	genesis := p.chain.Genesis()
	attributes, err := p.chain.Attributes(genesis.Header.Hash(), slot)
	must(t, err)
	e, err := enginetest.NewMemory(p.spec.GenesisJSON())
	must(t, err)
	data, err := e.Build(t.Context(), attributes)
	must(t, err)
	b, err := p.chain.Assemble(genesis.Header.Hash(), slot, consensus.GenesisQC(p.genesis), data)
	must(t, err)
	author, _ := p.schedule.Author(slot, 1)
	return b, devKey(author).Sign(consensus.ApprovalRoot(b.Header.Hash()))
}

func (p *peers) certified(b *block.Block, signers ...int) block.QC {
	qc := block.QC{Block: b.Header.Hash(), Signers: block.NewSigners(4)}
	var sigs []chain.BLSSignature
	for _, i := range signers {
		qc.Signers.Set(i)
		sigs = append(sigs, devKey(i).Sign(consensus.ApprovalRoot(qc.Block)))
	}
	qc.Signature, _ = p.verifier.Aggregate(sigs)
	return qc
}

func TestMessagesOfPeersAreJudgedBeforeTheyAreForwarded(t *testing.T) {
	p := newPeers(t)
	slot := p.spec.SlotAt(chain.UnixMilli(time.Now().UnixMilli()))
	b, sig := p.proposed(t, slot)
	author, _ := p.schedule.Author(slot, 1)
	proposal := func(change func(*block.Block, *chain.BLSSignature)) network.Message {
		b, sig := p.proposed(t, slot)
		if change != nil {
			change(b, &sig)
		}
		return network.Message{Proposal: &consensus.Proposal{Header: b.Header, ParentQC: b.ParentQC, Signature: sig}, Block: b}
	}
	approval := func(authority int, sig chain.BLSSignature) network.Message {
		return network.Message{Approval: &consensus.Approval{Header: b.Header, Authority: authority, Signature: sig}}
	}
	certificate := func(qc block.QC) network.Message {
		return network.Message{Certificate: &consensus.Certificate{Header: b.Header, QC: qc}}
	}
	early, earlySig := p.proposed(t, slot+2)
	for _, test := range []struct {
		name string
		m    network.Message
		want network.Verdict
	}{
		{"a block of the author", proposal(nil), network.Accept},
		{"a block of somebody else (D-01)", proposal(func(b *block.Block, sig *chain.BLSSignature) {
			*sig = devKey((author + 1) % 4).Sign(consensus.ApprovalRoot(b.Header.Hash()))
		}), network.Reject},
		{"a body of another block", proposal(func(b *block.Block, _ *chain.BLSSignature) { b.Execution.Payload.GasUsed++ }), network.Reject},
		{"another chain's", proposal(func(b *block.Block, _ *chain.BLSSignature) { b.Header.Genesis[0] ^= 1 }), network.Reject},
		{"a block too early", network.Message{Proposal: &consensus.Proposal{Header: early.Header, ParentQC: early.ParentQC, Signature: earlySig}, Block: early}, network.Ignore},
		{"an approval", approval(author, sig), network.Accept},
		{"an approval in another's name", approval((author+1)%4, sig), network.Reject},
		{"an approval of nobody", approval(4, sig), network.Reject},
		{"a certificate", certificate(p.certified(b, 0, 1, 3)), network.Accept},
		{"a certificate of too few", certificate(p.certified(b, 0, 1)), network.Reject},
		{"a certificate with another's signature", certificate(func() block.QC {
			qc := p.certified(b, 0, 1, 3)
			qc.Signers = block.NewSigners(4)
			for _, i := range []int{0, 1, 2} {
				qc.Signers.Set(i)
			}
			return qc
		}()), network.Reject},
	} {
		if got := p.judge(test.m); got != test.want {
			t.Errorf("%s: verdict %d, want %d", test.name, got, test.want)
		}
		if got := p.take(t.Context(), test.m); got != network.Ignore {
			t.Errorf("%s: verdict %d although consensus does not run", test.name, got)
		}
	}
	if got, ok := p.signatures.Get(b.Header.Hash()); !ok || got != sig {
		t.Error("the author's signature is not kept for who fetches the block")
	}
}

// Good signatures are remembered, bad ones are not: a peer cannot make us believe one, nor make us forget that it is bad.
func TestVerifierRemembersGoodSignaturesOnly(t *testing.T) {
	v, err := newVerifier()
	must(t, err)
	key, root := devKey(0), chain.Hash{7}
	sig := key.Sign(root)
	for range 2 {
		if !v.Verify(key.Public(), root, sig) {
			t.Error("a good signature is refused")
		}
		if v.Verify(devKey(1).Public(), root, sig) || v.Verify(key.Public(), chain.Hash{8}, sig) {
			t.Error("a signature counts for another key or root")
		}
		if v.VerifyAggregate([]chain.BLSPublicKey{key.Public(), devKey(1).Public()}, root, sig) {
			t.Error("a signature of one counts for two")
		}
	}
	if v.good.Len() != 1 {
		t.Errorf("%d signatures are remembered, want 1", v.good.Len())
	}
}

func TestPeersAreServedWhatIsStored(t *testing.T) {
	p := newPeers(t)
	ctx := context.Background()
	status := p.Status()
	if status.Head.Header.Height != 0 || status.ChainID != spec.DevChainID {
		t.Errorf("status: %+v", status)
	}
	b, sig := p.proposed(t, p.spec.FirstSlot())
	hash := b.Header.Hash()
	_, err := p.Block(ctx, hash)
	wantIs(t, err, network.ErrNotFound)
	must(t, p.store.InsertBlocks(block.Derived{Block: b, State: []byte{1}}))
	p.signatures.Add(hash, sig)
	got, err := p.Block(ctx, hash)
	must(t, err)
	if got.Parent != b.Header.Parent || got.Signature != sig || string(got.Raw) != string(b.Encode()) {
		t.Errorf("served: %+v", got)
	}
	_, err = p.At(ctx, 1) // stored, and not on our chain
	wantIs(t, err, network.ErrNotFound)
	genesis, err := p.At(ctx, 0)
	must(t, err)
	if genesis.Hash != p.genesis {
		t.Errorf("height 0 is %s", genesis.Hash)
	}
	_, err = p.Certificate(ctx, hash)
	wantIs(t, err, network.ErrNotFound)
	qc := p.certified(b, 0, 1, 2)
	must(t, p.store.PutQC(qc))
	if got, err := p.Certificate(ctx, hash); err != nil || got.Hash() != qc.Hash() {
		t.Errorf("certificate: %+v, %v", got, err)
	}
	if got, err := p.Certificate(ctx, p.genesis); err != nil || got.Block != p.genesis {
		t.Errorf("certificate of genesis: %+v, %v", got, err)
	}
}

func TestImportBeforeConsensusRunsIsTriedAgain(t *testing.T) {
	err := importer{func() *driver.Driver { return nil }}.Import(nil, block.QC{})(t.Context())
	if !errors.Is(err, follow.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
