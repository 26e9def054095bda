package geth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// ErrGenesis means that the execution genesis cannot be used, whatever the data folder holds.
var ErrGenesis = errors.New("execution genesis cannot be used")

// Genesis is an execution genesis that was read and checked.
type Genesis struct {
	spec    *core.Genesis
	hash    chain.Hash
	forks   []engine.Fork
	horizon uint64
}

// ParseGenesis reads a genesis in geth's JSON format and refuses, with ErrGenesis, what geth would accept and fail on
// later: no chain id, no Shanghai at genesis, Prague without Cancun, Prague without its system contracts.
func ParseGenesis(js []byte) (*Genesis, error) {
	spec := new(core.Genesis)
	dec := json.NewDecoder(bytes.NewReader(js))
	if err := dec.Decode(spec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if err := checkGenesis(spec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	forks, horizon := schedule(spec.Config)
	for _, f := range forks {
		if f.Timestamp <= spec.Timestamp && !supported(f.Name) {
			return nil, fmt.Errorf("%w: fork %s is active at genesis and not supported: forks go to Prague", ErrGenesis, f.Name)
		}
	}
	g := &Genesis{forks: forks, horizon: horizon, spec: spec, hash: chain.Hash(spec.ToBlock().Hash())}
	return g, nil
}

// Hash is the hash of the genesis block.
func (g *Genesis) Hash() chain.Hash { return g.hash }

// ChainID is the EVM chain id.
func (g *Genesis) ChainID() uint64 { return g.spec.Config.ChainID.Uint64() }

// Forks is the schedule by timestamp, in order.
func (g *Genesis) Forks() []engine.Fork { return append([]engine.Fork(nil), g.forks...) }

// Horizon is the first timestamp that this engine cannot execute; nil when no fork of the schedule is beyond it.
func (g *Genesis) Horizon() *uint64 {
	if g.horizon == 0 {
		return nil
	}
	horizon := g.horizon
	return &horizon
}

// beyond reports whether a timestamp is at or past the horizon.
func (g *Genesis) beyond(timestamp uint64) bool { return g.horizon != 0 && timestamp >= g.horizon }

func checkGenesis(g *core.Genesis) error {
	c := g.Config
	switch {
	case c == nil:
		return errors.New("it has no config")
	case c.ChainID == nil || !c.ChainID.IsUint64() || c.ChainID.Sign() == 0:
		return errors.New("config.chainId is missing or not a positive 64-bit number")
	case c.TerminalTotalDifficulty == nil || c.TerminalTotalDifficulty.Sign() != 0:
		return errors.New("config.terminalTotalDifficulty must be 0: the chain has no proof-of-work past")
	case c.Clique != nil:
		return errors.New("config.clique is not supported")
	case c.ShanghaiTime == nil || *c.ShanghaiTime > g.Timestamp:
		return errors.New("config.shanghaiTime must not be after the genesis: peg-ins are withdrawals")
	case c.PragueTime != nil && c.CancunTime == nil:
		return errors.New("config.pragueTime is set without config.cancunTime")
	case c.UBTTime != nil || c.EnableUBTAtGenesis:
		return errors.New("binary trees are not supported")
	}
	if err := c.CheckConfigForkOrder(); err != nil {
		return err
	}
	if c.PragueTime == nil {
		return nil
	}
	for _, a := range []struct {
		name string
		code int
	}{
		{"EIP-7002 " + params.WithdrawalQueueAddress.Hex(), len(g.Alloc[params.WithdrawalQueueAddress].Code)},
		{"EIP-7251 " + params.ConsolidationQueueAddress.Hex(), len(g.Alloc[params.ConsolidationQueueAddress].Code)},
	} {
		if a.code == 0 {
			return fmt.Errorf("config.pragueTime is set and alloc has no system contract %s", a.name)
		}
	}
	return nil
}

// supported is a closed list: a fork that a later geth adds is beyond the horizon until it was reviewed.
func supported(fork string) bool { return fork == "shanghai" || fork == "cancun" || fork == "prague" }

// schedule lists the forks by timestamp, and the time of the first that is not supported, 0 when there is none.
func schedule(c *params.ChainConfig) (forks []engine.Fork, horizon uint64) {
	for _, f := range []struct {
		name string
		time *uint64
	}{
		{"shanghai", c.ShanghaiTime},
		{"cancun", c.CancunTime},
		{"prague", c.PragueTime},
		{"osaka", c.OsakaTime},
		{"bpo1", c.BPO1Time},
		{"bpo2", c.BPO2Time},
		{"amsterdam", c.AmsterdamTime},
		{"bogota", c.BogotaTime},
		{"bpo3", c.BPO3Time},
		{"bpo4", c.BPO4Time},
		{"bpo5", c.BPO5Time},
	} {
		if f.time == nil {
			continue
		}
		forks = append(forks, engine.Fork{Name: f.name, Timestamp: *f.time})
		if !supported(f.name) && (horizon == 0 || *f.time < horizon) {
			horizon = *f.time
		}
	}
	return forks, horizon
}
