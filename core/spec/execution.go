package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/sdk/chain"
)

const genesisPath = "execution_genesis"

// maxTimestamp bounds the genesis time (year 2100), so that times in milliseconds never overflow.
const maxTimestamp = 4_102_444_800

type systemContract struct {
	address common.Address
	code    []byte
	eip     int
}

// systemContracts must have their code in genesis, or the first Prague block cannot be built. They are there from the
// start, so that Prague can be scheduled at any time.
func systemContracts() []systemContract {
	return []systemContract{
		{params.BeaconRootsAddress, params.BeaconRootsCode, 4788},
		{params.HistoryStorageAddress, params.HistoryStorageCode, 2935},
		{params.WithdrawalQueueAddress, params.WithdrawalQueueCode, 7002},
		{params.ConsolidationQueueAddress, params.ConsolidationQueueCode, 7251},
	}
}

// executionGenesis reads and checks the execution layer's genesis.
func (c *checker) executionGenesis() {
	known := c.knownKeys()
	var g core.Genesis
	if err := json.Unmarshal(c.spec.genesisJSON, &g); err != nil {
		c.at(genesisPath, "is not a geth genesis: %s", err)
		return
	}
	if g.Config == nil || g.Config.ChainID == nil {
		c.at(genesisPath+".config", "must be there, with a chainId")
		return
	}
	if !known {
		return
	}
	c.genesisHeader(&g)
	c.forks(g.Config)
	c.blobs(g.Config)
	c.alloc(&g)
	c.spec.execution = &g
}

// knownKeys refuses keys that geth would silently ignore: a fork time with a typo is a chain split.
func (c *checker) knownKeys() bool {
	var top map[string]json.RawMessage
	if json.Unmarshal(c.spec.genesisJSON, &top) != nil {
		return true // reported as no genesis
	}
	before := len(c.problems.list)
	c.keysOf(genesisPath, top, reflect.TypeFor[core.Genesis]())
	var config map[string]json.RawMessage
	if json.Unmarshal(top["config"], &config) == nil {
		c.keysOf(genesisPath+".config", config, reflect.TypeFor[params.ChainConfig]())
	}
	return len(c.problems.list) == before
}

func (c *checker) keysOf(path string, got map[string]json.RawMessage, shape reflect.Type) {
	known := map[string]bool{}
	for field := range shape.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		known[name] = true
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		c.require(known[key], join(path, key), "is not a key of a geth genesis")
	}
}

func (c *checker) genesisHeader(g *core.Genesis) {
	c.require(g.Config.ChainID.Cmp(new(big.Int).SetUint64(c.spec.ChainID)) == 0, genesisPath+".config.chainId",
		"is %s, but chain_id is %d", g.Config.ChainID, c.spec.ChainID)
	c.require(g.Timestamp <= maxTimestamp, genesisPath+".timestamp", "must be at most %d", uint64(maxTimestamp))
	c.require(len(g.ExtraData) <= 32, genesisPath+".extraData", "must have at most 32 bytes")
	c.require(g.Difficulty.Sign() == 0, genesisPath+".difficulty", "must be 0: there are no mined blocks")
	c.require(g.GasLimit >= params.MinGasLimit && g.GasLimit <= params.MaxGasLimit, genesisPath+".gasLimit",
		"must be from %d to %d", params.MinGasLimit, params.MaxGasLimit)
	c.require(g.Number == 0 && g.GasUsed == 0 && g.ParentHash == common.Hash{} && g.ExcessBlobGas == nil &&
		g.BlobGasUsed == nil && g.SlotNumber == nil, genesisPath,
		"must not set number, gasUsed, parentHash, excessBlobGas, blobGasUsed or slotNumber")
	c.require(g.BaseFee == nil || g.BaseFee.Sign() > 0 && g.BaseFee.BitLen() <= 256, genesisPath+".baseFeePerGas",
		"must be positive")
}

// forks demands everything up to Shanghai from the start, and nothing after Prague.
func (c *checker) forks(config *params.ChainConfig) {
	path := genesisPath + ".config"
	for _, f := range []struct {
		name  string
		block *big.Int
	}{
		{"homesteadBlock", config.HomesteadBlock},
		{"eip150Block", config.EIP150Block},
		{"eip155Block", config.EIP155Block},
		{"eip158Block", config.EIP158Block},
		{"byzantiumBlock", config.ByzantiumBlock},
		{"constantinopleBlock", config.ConstantinopleBlock},
		{"petersburgBlock", config.PetersburgBlock},
		{"istanbulBlock", config.IstanbulBlock},
		{"berlinBlock", config.BerlinBlock},
		{"londonBlock", config.LondonBlock},
	} {
		c.require(f.block != nil && f.block.Sign() == 0, join(path, f.name), "must be 0")
	}
	ttd := config.TerminalTotalDifficulty
	c.require(ttd != nil && ttd.Sign() == 0, path+".terminalTotalDifficulty", "must be 0")
	c.require(config.ShanghaiTime != nil && *config.ShanghaiTime == 0, path+".shanghaiTime",
		"must be 0: alys mints by withdrawals from the first block")
	c.require(config.PragueTime == nil || config.CancunTime != nil, path+".pragueTime", "needs a cancunTime")
	for _, f := range []struct {
		name string
		time *uint64
	}{
		{"osakaTime", config.OsakaTime},
		{"bpo1Time", config.BPO1Time},
		{"bpo2Time", config.BPO2Time},
		{"bpo3Time", config.BPO3Time},
		{"bpo4Time", config.BPO4Time},
		{"bpo5Time", config.BPO5Time},
		{"amsterdamTime", config.AmsterdamTime},
		{"bogotaTime", config.BogotaTime},
		{"ubtTime", config.UBTTime},
	} {
		c.require(f.time == nil, join(path, f.name), "must not be scheduled: Prague is the last fork that alys knows")
	}
	// The execution genesis hash covers none of these, and each of them changes blocks: nodes that differ would split.
	c.require(config.DepositContractAddress == (common.Address{}), path+".depositContractAddress", "must be left out: alys has no beacon deposits")
	c.require(config.DAOForkBlock == nil && !config.DAOForkSupport, path+".daoForkBlock", "must be left out")
	c.require(!config.EnableUBTAtGenesis, path+".enableUBTAtGenesis", "must be false")
	c.require(config.Clique == nil && config.Ethash == nil, path, "must not choose clique or ethash: alys is the consensus")
	if err := config.CheckConfigForkOrder(); err != nil {
		c.at(path, "%s", err)
	}
}

// blobs demands that there are none: blob gas is 0 in every payload.
func (c *checker) blobs(config *params.ChainConfig) {
	path := genesisPath + ".config.blobSchedule"
	schedule := config.BlobScheduleConfig
	if schedule == nil {
		schedule = &params.BlobScheduleConfig{}
	}
	for _, f := range []struct {
		name string
		blob *params.BlobConfig
		time *uint64
	}{
		{"cancun", schedule.Cancun, config.CancunTime},
		{"prague", schedule.Prague, config.PragueTime},
	} {
		if f.blob == nil {
			c.require(f.time == nil, join(path, f.name), "is missing")
			continue
		}
		c.require(f.blob.Max == 0 && f.blob.Target == 0, join(path, f.name), "must have max 0 and target 0: there are no blobs")
		c.require(f.blob.UpdateFraction > 0, join(path, f.name), "must have a baseFeeUpdateFraction")
	}
}

func (c *checker) alloc(g *core.Genesis) {
	path := genesisPath + ".alloc"
	for _, contract := range systemContracts() {
		c.require(bytes.Equal(g.Alloc[contract.address].Code, contract.code), join(path, contract.address.Hex()),
			"must have the code of EIP-%d's contract", contract.eip)
	}
	if p := c.spec.Peg; p != nil {
		c.require(len(g.Alloc[common.Address(p.Bridge)].Code) > 0, join(path, p.Bridge.String()),
			"must have the code of the bridge contract")
	}
	if c.spec.Dev {
		return
	}
	for _, a := range slices.SortedFunc(maps.Keys(g.Alloc), common.Address.Cmp) {
		b := g.Alloc[a].Balance
		c.require(b == nil || b.Sign() == 0, join(path, a.Hex()),
			"must have no balance: outside of a development chain coins come by peg-in only, backed by bitcoin")
	}
}

// payload is the execution genesis block as a payload.
func payload(b *types.Block) (chain.Payload, error) {
	h := b.Header()
	fee, ok := chain.WeiFromBig(h.BaseFee)
	if !ok {
		return chain.Payload{}, fmt.Errorf("base fee %s does not fit", h.BaseFee)
	}
	return chain.Payload{
		ParentHash: chain.Hash(h.ParentHash), FeeRecipient: chain.Address(h.Coinbase), StateRoot: chain.Hash(h.Root),
		ReceiptsRoot: chain.Hash(h.ReceiptHash), LogsBloom: h.Bloom, PrevRandao: chain.Hash(h.MixDigest),
		Number: chain.Height(h.Number.Uint64()), GasLimit: h.GasLimit, GasUsed: h.GasUsed, Timestamp: h.Time,
		ExtraData: h.Extra, BaseFeePerGas: fee, BlockHash: chain.Hash(b.Hash()),
		BlobGasUsed: h.BlobGasUsed, ExcessBlobGas: h.ExcessBlobGas,
	}, nil
}
