package chain

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/core/spec"
)

// RulesOf is a chain spec as validity reads it.
func RulesOf(s *spec.Spec) (Rules, error) {
	var genesis struct {
		Config *params.ChainConfig `json:"config"`
	}
	if err := json.Unmarshal(s.GenesisJSON(), &genesis); err != nil {
		return nil, fmt.Errorf("read execution genesis of %q: %w", s.Name, err)
	}
	if genesis.Config == nil {
		return nil, fmt.Errorf("execution genesis of %q has no config", s.Name)
	}
	return rules{s, genesis.Config}, nil
}

type rules struct {
	*spec.Spec
	config *params.ChainConfig
}

func (r rules) GasLimitTarget() uint64 { return r.GasLimit }

func (r rules) StallLimit() uint64 { return r.MaxBlocksWithoutPoW }

// London and all before it are active from genesis on (the spec checks it), so the number decides nothing.
func (r rules) Cancun(timestamp uint64) bool { return r.config.IsCancun(big.NewInt(1), timestamp) }

func (r rules) Prague(timestamp uint64) bool { return r.config.IsPrague(big.NewInt(1), timestamp) }
