package spec

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/alys-node/alys/sdk/bls"
	"github.com/alys-node/alys/sdk/chain"
)

// The development chain's account, funded at genesis. Everybody knows the key: it is the first account of Hardhat and
// Anvil, which wallets and tools have built in. Never send anything of value to it, on any chain.
const (
	DevAccount    = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
	DevAccountKey = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
)

// DevChainID is the EVM chain id of the development chain.
const DevChainID = 121212

// MaxDevNodes is how many authorities a development chain can have.
const MaxDevNodes = 15

// bridgeFile is v1's bridge contract: its address and runtime code.
//
//go:embed bridge.json
var bridgeFile []byte

// Dev is the built-in development chain with one authority, whose secret is DevSecret(0).
func Dev() *Spec { return DevNodes(1) }

// DevNodes is the development chain with n authorities, n from 1 to MaxDevNodes. Chains of different n are different
// chains. The execution layer is at Shanghai, so that engine v4 can run it and the step to v5 can be tried.
func DevNodes(n int) *Spec { return mustDev(n, nil) }

// BuiltIn is the built-in chain of a name: "dev", and "dev-N" for DevNodes(N) with N from 2 to MaxDevNodes. It reports
// false for every other name.
func BuiltIn(name string) (*Spec, bool) {
	for n := 1; n <= MaxDevNodes; n++ {
		if name == devName(n) {
			return DevNodes(n), true
		}
	}
	return nil, false
}

func devName(n int) string {
	if n == 1 {
		return "dev"
	}
	return fmt.Sprintf("dev-%d", n)
}

// DevPrague is DevNodes with Cancun and Prague from the first block.
func DevPrague(n int) *Spec { return mustDev(n, new(uint64(0))) }

// DevSecret is the secret of the development chain's authority i, for its BLS and its Bitcoin key alike: the number i+1
// as 32 big-endian bytes. Everybody knows it.
func DevSecret(i int) []byte { return big.NewInt(int64(i) + 1).FillBytes(make([]byte, bls.SecretSize)) }

// mustDev builds from constants: a failure is a broken invariant of this package, or n out of range.
func mustDev(n int, prague *uint64) *Spec {
	if n < 1 || n > MaxDevNodes {
		panic(fmt.Sprintf("spec: a development chain of %d authorities, want 1 to %d", n, MaxDevNodes))
	}
	f, err := devFile(n, prague)
	if err != nil {
		panic(fmt.Sprintf("spec: development chain: %v", err))
	}
	s, err := build(f, nil)
	if err != nil {
		panic(fmt.Sprintf("spec: development chain: %v", err))
	}
	return s
}

func devFile(n int, prague *uint64) (file, error) {
	var bridge struct {
		Address         chain.Address `json:"address"`
		RuntimeBytecode string        `json:"runtime_bytecode"`
	}
	if err := json.Unmarshal(bridgeFile, &bridge); err != nil {
		return file{}, fmt.Errorf("bridge contract: %w", err)
	}
	genesis, err := json.Marshal(devExecution(common.Address(bridge.Address), common.FromHex(bridge.RuntimeBytecode), prague))
	if err != nil {
		return file{}, fmt.Errorf("execution genesis: %w", err)
	}
	set, err := devSet(n)
	if err != nil {
		return file{}, err
	}
	return file{
		Name: devName(n), ChainID: DevChainID, AuxChainID: 0xa1a5, Dev: true,
		Slots:       []fileSlots{{MS: 2000}},
		Authorities: []fileSet{set},
		GasLimit:    30_000_000,
		// Without a miner the chain stands still after this many blocks, a little more than a day.
		MaxBlocksWithoutPoW: 50_000,
		Margin:              20,
		PoW: filePoW{
			Bits: 0x207fffff, EasiestBits: 0x207fffff, HardestBits: 0x1b00ffff, NoRetarget: true,
			IdealMS: 60_000, HalfLifeMS: uint64(288 * time.Minute / time.Millisecond),
		},
		Peg: &filePeg{
			Network: "regtest", Bridge: bridge.Address, Confirmations: 4, SettlementDepth: 6, MinDeposit: 10_000,
			MinPegOut: 1_000_000, RefundFee: 1_000, PaymentInterval: 5, RateMin: 1_000, RateInitial: 2_000, RateMax: 1_000_000,
		},
		Governance:       &fileGovernance{Keys: set.Federation.BitcoinKeys[:1], Threshold: 1},
		ExecutionGenesis: genesis,
	}, nil
}

func devSet(n int) (fileSet, error) {
	set := fileSet{Federation: fileFederation{Threshold: uint32((2*n + 2) / 3), Script: ScriptTaproot}}
	for i := range n {
		secret := DevSecret(i)
		k, err := bls.ParseSecretKey(secret)
		if err != nil {
			return set, fmt.Errorf("secret %d: %w", i+1, err)
		}
		_, public := btcec.PrivKeyFromBytes(secret)
		set.Members = append(set.Members, fileMember{Key: k.Public(), Possession: k.Possession()})
		set.Federation.BitcoinKeys = append(set.Federation.BitcoinKeys, chain.BitcoinPublicKey(public.SerializeCompressed()))
		set.Federation.FeeAddresses = append(set.Federation.FeeAddresses, chain.Address(crypto.PubkeyToAddress(*public.ToECDSA())))
	}
	return set, nil
}

func devExecution(bridge common.Address, code []byte, prague *uint64) *core.Genesis {
	zero := new(big.Int)
	noBlobs := func(fraction uint64) *params.BlobConfig { return &params.BlobConfig{UpdateFraction: fraction} }
	balance := new(big.Int).Mul(big.NewInt(1000), big.NewInt(params.Ether))
	alloc := types.GenesisAlloc{
		bridge:                             {Code: code, Balance: zero},
		params.DeterministicFactoryAddress: {Nonce: 1, Code: params.DeterministicFactoryCode, Balance: zero},
		common.HexToAddress(DevAccount):    {Balance: balance},
	}
	for _, contract := range systemContracts() {
		alloc[contract.address] = types.Account{Nonce: 1, Code: contract.code, Balance: zero}
	}
	return &core.Genesis{
		Config: &params.ChainConfig{
			ChainID: big.NewInt(DevChainID), HomesteadBlock: zero, EIP150Block: zero, EIP155Block: zero, EIP158Block: zero,
			ByzantiumBlock: zero, ConstantinopleBlock: zero, PetersburgBlock: zero, IstanbulBlock: zero, BerlinBlock: zero,
			LondonBlock: zero, TerminalTotalDifficulty: zero,
			ShanghaiTime: new(uint64(0)), CancunTime: prague, PragueTime: prague,
			BlobScheduleConfig: &params.BlobScheduleConfig{
				Cancun: noBlobs(params.DefaultCancunBlobConfig.UpdateFraction),
				Prague: noBlobs(params.DefaultPragueBlobConfig.UpdateFraction),
			},
		},
		Timestamp:  0x63a1e047, // v1's development genesis: December 2022
		GasLimit:   30_000_000,
		Difficulty: zero,
		Alloc:      alloc,
	}
}
