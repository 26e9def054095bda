package enginetest

import (
	"encoding/json"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/params"
)

// Spec fixes what tests vary in a genesis. The zero value is usable.
type Spec struct {
	ChainID   uint64  // 0 means 121212
	Timestamp uint64  // unix seconds; 0 means 1,700,000,000
	GasLimit  uint64  // 0 means 30,000,000
	Cancun    *uint64 // fork time, unix seconds; nil means never
	Prague    *uint64 // fork time, unix seconds; nil means never; needs Cancun
	Osaka     *uint64 // fork time, unix seconds; nil means never; Memory's horizon
}

// GenesisJSON is an execution genesis in geth's format: Shanghai from the start, no accounts but the system contracts.
func GenesisJSON(s Spec) []byte {
	if s.ChainID == 0 {
		s.ChainID = 121212
	}
	if s.Timestamp == 0 {
		s.Timestamp = 1_700_000_000
	}
	if s.GasLimit == 0 {
		s.GasLimit = 30_000_000
	}
	shanghai := uint64(0)
	config := *params.AllDevChainProtocolChanges
	config.ChainID = new(big.Int).SetUint64(s.ChainID)
	config.ShanghaiTime, config.CancunTime, config.PragueTime = &shanghai, s.Cancun, s.Prague
	config.OsakaTime, config.BPO1Time, config.BPO2Time, config.AmsterdamTime, config.BogotaTime = s.Osaka, nil, nil, nil, nil
	config.TerminalTotalDifficulty = big.NewInt(0)
	b, err := json.Marshal(&core.Genesis{
		Config:     &config,
		Timestamp:  s.Timestamp,
		GasLimit:   s.GasLimit,
		Difficulty: common.Big0,
		BaseFee:    big.NewInt(params.InitialBaseFee),
		Alloc:      core.SystemContractAllocs(),
	})
	if err != nil {
		panic(err) // every field is set above
	}
	return b
}
