package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// Memory is an engine in memory: see the package comment for what of it is real. It is ready without Configure and
// passes Run. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex // guards the rest
	config  *params.ChainConfig
	genesis chain.Hash
	blocks  map[chain.Hash]*executed
	heads   engine.Heads
	pool    pool
	run     Execute
}

// executed is a block with what its execution gave.
type executed struct {
	data     chain.ExecutionData
	receipts []chain.Receipt
}

// NewMemory makes an engine at the genesis given in geth's format; nil means GenesisJSON(Spec{}).
func NewMemory(genesisJSON []byte) (*Memory, error) {
	m := &Memory{run: func([]byte) Outcome { return Outcome{} }}
	if genesisJSON == nil {
		genesisJSON = GenesisJSON(Spec{})
	}
	if err := m.reset(genesisJSON); err != nil {
		return nil, err
	}
	return m, nil
}

// SetExecute changes what transactions do, before the first block.
func (m *Memory) SetExecute(run Execute) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.run = run
}

func (m *Memory) reset(genesisJSON []byte) error {
	var g core.Genesis
	if err := json.Unmarshal(genesisJSON, &g); err != nil {
		return fmt.Errorf("decode genesis: %w", err)
	}
	if g.Config == nil || g.Config.ChainID == nil {
		return fmt.Errorf("genesis has no chain id")
	}
	block := g.ToBlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.config = g.Config
	m.genesis = chain.Hash(block.Hash())
	m.blocks = map[chain.Hash]*executed{m.genesis: {data: chain.ExecutionData{Payload: genesisPayload(block)}}}
	m.heads = engine.Heads{Head: chain.Ref{Hash: m.genesis}}
	m.pool = newPool()
	return nil
}

// Genesis is the execution genesis block hash.
func (m *Memory) Genesis() chain.Hash {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.genesis
}

// Status implements engine.Engine.
func (m *Memory) Status(ctx context.Context) (engine.Status, error) {
	if err := ctx.Err(); err != nil {
		return engine.Status{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := engine.Status{
		ClientVersion: "memory/1.0.0",
		ChainID:       m.config.ChainID.Uint64(),
		Genesis:       m.genesis,
		Heads:         m.heads,
	}
	for _, f := range []struct {
		name string
		time *uint64
	}{{"shanghai", m.config.ShanghaiTime}, {"cancun", m.config.CancunTime}, {"prague", m.config.PragueTime}} {
		if f.time != nil {
			s.Forks = append(s.Forks, engine.Fork{Name: f.name, Timestamp: *f.time})
		}
	}
	if osaka := m.config.OsakaTime; osaka != nil {
		horizon := *osaka
		s.Horizon = &horizon
	}
	return s, nil
}

// Build implements engine.Engine.
func (m *Memory) Build(ctx context.Context, r engine.BuildRequest) (chain.ExecutionData, error) {
	if err := ctx.Err(); err != nil {
		return chain.ExecutionData{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	parent, known := m.blocks[r.Parent]
	if !known {
		return chain.ExecutionData{}, fmt.Errorf("build on %s: %w", r.Parent, engine.ErrSyncing)
	}
	p := parent.data.Payload
	if r.Timestamp <= p.Timestamp {
		return chain.ExecutionData{}, fmt.Errorf("timestamp %d is not after the parent's %d", r.Timestamp, p.Timestamp)
	}
	d := chain.ExecutionData{
		Payload: chain.Payload{
			ParentHash:    r.Parent,
			FeeRecipient:  r.FeeRecipient,
			PrevRandao:    r.PrevRandao,
			Number:        p.Number + 1,
			GasLimit:      core.CalcGasLimit(p.GasLimit, r.GasLimit),
			Timestamp:     r.Timestamp,
			ExtraData:     []byte("memory"),
			BaseFeePerGas: p.BaseFeePerGas,
			Withdrawals:   append([]chain.Withdrawal{}, r.Withdrawals...),
		},
		ParentBeaconRoot: r.ParentBeaconRoot,
	}
	m.addForkFields(&d)
	if err := m.checkForkFields(d); err != nil {
		return chain.ExecutionData{}, err
	}
	d.Payload.Transactions = m.pool.pending(int(d.Payload.GasLimit / gasPerTransaction))
	done, err := execute(d.Payload, p.StateRoot, m.run)
	if err != nil {
		return chain.ExecutionData{}, err
	}
	d.Payload.StateRoot, d.Payload.ReceiptsRoot = done.stateRoot, done.receiptsRoot
	d.Payload.LogsBloom, d.Payload.GasUsed = done.bloom, done.gasUsed
	d.Payload.BlockHash, err = BlockHash(d)
	return d, err
}

// addForkFields adds what the forks at the payload's timestamp demand, apart from what the proposer gives.
func (m *Memory) addForkFields(d *chain.ExecutionData) {
	if m.at(m.config.CancunTime, d.Payload.Timestamp) {
		var used, excess uint64
		d.Payload.BlobGasUsed, d.Payload.ExcessBlobGas = &used, &excess
	}
	if m.at(m.config.PragueTime, d.Payload.Timestamp) {
		d.Requests = [][]byte{}
	}
}

// checkForkFields refuses a payload whose fields are not those of its timestamp's fork.
func (m *Memory) checkForkFields(d chain.ExecutionData) error {
	cancun := m.at(m.config.CancunTime, d.Payload.Timestamp)
	prague := m.at(m.config.PragueTime, d.Payload.Timestamp)
	switch {
	case m.at(m.config.OsakaTime, d.Payload.Timestamp):
		return fmt.Errorf("timestamp %d: %w", d.Payload.Timestamp, engine.ErrUnsupportedFork)
	case cancun != (d.ParentBeaconRoot != nil):
		return fmt.Errorf("parent beacon root: present %v, want %v", d.ParentBeaconRoot != nil, cancun)
	case cancun != (d.Payload.BlobGasUsed != nil) || cancun != (d.Payload.ExcessBlobGas != nil):
		return fmt.Errorf("blob gas: present %v, want %v", d.Payload.BlobGasUsed != nil, cancun)
	case prague != (d.Requests != nil):
		return fmt.Errorf("execution requests: present %v, want %v", d.Requests != nil, prague)
	}
	return nil
}

func (m *Memory) at(fork *uint64, timestamp uint64) bool { return fork != nil && *fork <= timestamp }

// Payloads implements engine.Engine.
func (m *Memory) Payloads(ctx context.Context, hashes []chain.Hash) ([]*chain.ExecutionData, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*chain.ExecutionData, len(hashes))
	for i, h := range hashes {
		if b, known := m.blocks[h]; known {
			d := b.data
			out[i] = &d
		}
	}
	return out, nil
}

// Receipts implements engine.Engine.
func (m *Memory) Receipts(ctx context.Context, hash chain.Hash) ([]chain.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, known := m.blocks[hash]
	if !known {
		return nil, fmt.Errorf("receipts of %s: %w", hash, engine.ErrUnknownBlock)
	}
	return append([]chain.Receipt(nil), b.receipts...), nil
}
