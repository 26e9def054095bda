package execution

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/sdk/chain"
	"github.com/alys-node/alys/sdk/engine"
)

// ErrGenesis means that the execution genesis cannot be used, whatever the data folder holds.
var ErrGenesis = errors.New("execution genesis cannot be used")

// Fork names a fork by time.
type Fork string

// The forks that an engine of this package can execute, in order.
const (
	Paris    Fork = "paris"
	Shanghai Fork = "shanghai"
	Cancun   Fork = "cancun"
	Prague   Fork = "prague"
)

// Genesis is an execution genesis that was read and checked, as an engine sees it that goes to a certain fork.
type Genesis struct {
	spec    *core.Genesis
	hash    chain.Hash
	last    Fork
	forks   []engine.Fork
	horizon *engine.Fork // the first fork that the engine does not execute
}

// ParseGenesis reads a genesis in geth's JSON format for an engine that executes forks up to last, Shanghai, Cancun or
// Prague. It refuses, with ErrGenesis, what geth would accept and fail on later: no chain id, a merge after genesis, no
// Shanghai at genesis, Prague without Cancun, Prague without its system contracts.
func ParseGenesis(js []byte, last Fork) (*Genesis, error) {
	spec := new(core.Genesis)
	dec := json.NewDecoder(bytes.NewReader(js))
	if err := dec.Decode(spec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if err := checkGenesis(spec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	g := &Genesis{last: last, forks: schedule(spec.Config), spec: spec, hash: chain.Hash(spec.ToBlock().Hash())}
	for _, f := range g.forks {
		if supported(f.Name, last) {
			continue
		}
		if f.Timestamp <= spec.Timestamp {
			return nil, fmt.Errorf("%w: fork %s is active at genesis, and this engine goes to %s", ErrGenesis, f.Name, last)
		}
		if g.horizon == nil || f.Timestamp < g.horizon.Timestamp {
			g.horizon = &f
		}
	}
	return g, nil
}

// Spec is the genesis in geth's form. It must not be changed.
func (g *Genesis) Spec() *core.Genesis { return g.spec }

// Time is the timestamp of the genesis block, in unix seconds.
func (g *Genesis) Time() uint64 { return g.spec.Timestamp }

// Hash is the hash of the genesis block.
func (g *Genesis) Hash() chain.Hash { return g.hash }

// ChainID is the EVM chain id.
func (g *Genesis) ChainID() uint64 { return g.spec.Config.ChainID.Uint64() }

// Forks is the schedule by timestamp, in order.
func (g *Genesis) Forks() []engine.Fork { return append([]engine.Fork(nil), g.forks...) }

// Horizon is the first timestamp that this engine cannot execute; nil when no fork of the schedule is beyond it.
func (g *Genesis) Horizon() *uint64 {
	if g.horizon == nil {
		return nil
	}
	horizon := g.horizon.Timestamp
	return &horizon
}

// Executes is nil when the engine executes payloads of this timestamp, and otherwise an engine.ErrUnsupportedFork that
// names the timestamp, the fork and the horizon.
func (g *Genesis) Executes(timestamp uint64) error {
	if g.horizon == nil || timestamp < g.horizon.Timestamp {
		return nil
	}
	fork := g.horizon.Name
	for _, f := range g.forks { // in order: the latest that has begun
		if f.Timestamp <= timestamp {
			fork = f.Name
		}
	}
	return fmt.Errorf("%w: timestamp %d is in %s, this engine goes to %s and its horizon is %d, the begin of %s",
		engine.ErrUnsupportedFork, timestamp, fork, g.last, g.horizon.Timestamp, g.horizon.Name)
}

// ForkAt is the fork of a timestamp that the engine executes.
func (g *Genesis) ForkAt(timestamp uint64) Fork {
	c := g.spec.Config
	switch {
	case c.IsPrague(common.Big0, timestamp):
		return Prague
	case c.IsCancun(common.Big0, timestamp):
		return Cancun
	case c.IsShanghai(common.Big0, timestamp):
		return Shanghai
	}
	return Paris
}

// Cancun reports whether payloads of this timestamp have a parent beacon root and blob gas.
func (g *Genesis) Cancun(timestamp uint64) bool {
	return g.spec.Config.IsCancun(common.Big0, timestamp)
}

// Prague reports whether payloads of this timestamp have execution requests.
func (g *Genesis) Prague(timestamp uint64) bool {
	return g.spec.Config.IsPrague(common.Big0, timestamp)
}

func checkGenesis(g *core.Genesis) error {
	c := g.Config
	switch {
	case c == nil:
		return errors.New("it has no config")
	case c.ChainID == nil || !c.ChainID.IsUint64() || c.ChainID.Sign() == 0:
		return errors.New("config.chainId is missing or not a positive 64-bit number")
	case c.TerminalTotalDifficulty == nil || g.Difficulty == nil || c.TerminalTotalDifficulty.Cmp(g.Difficulty) > 0:
		return errors.New("config.terminalTotalDifficulty must not be above the genesis' difficulty, best both 0: the chain has no " +
			"mined blocks")
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
func supported(name string, last Fork) bool {
	known := []Fork{Shanghai, Cancun, Prague}
	at := slices.Index(known, Fork(name))
	return at >= 0 && at <= slices.Index(known, last)
}

// schedule lists the forks by timestamp.
func schedule(c *params.ChainConfig) []engine.Fork {
	var forks []engine.Fork
	for _, f := range []struct {
		name string
		time *uint64
	}{
		{string(Shanghai), c.ShanghaiTime},
		{string(Cancun), c.CancunTime},
		{string(Prague), c.PragueTime},
		{"osaka", c.OsakaTime},
		{"bpo1", c.BPO1Time},
		{"bpo2", c.BPO2Time},
		{"amsterdam", c.AmsterdamTime},
		{"bogota", c.BogotaTime},
		{"bpo3", c.BPO3Time},
		{"bpo4", c.BPO4Time},
		{"bpo5", c.BPO5Time},
	} {
		if f.time != nil {
			forks = append(forks, engine.Fork{Name: f.name, Timestamp: *f.time})
		}
	}
	return forks
}
