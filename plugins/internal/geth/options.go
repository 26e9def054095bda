package geth

import (
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
)

type gethLogger = log.Logger

// instance is the name of geth's folder below the data folder.
const instance = "geth"

// nodeConfig is a node without any endpoint: no IPC (it would serve the Engine API without authentication), no HTTP, no
// peers, no discovery.
func nodeConfig(dir string, l log.Logger) *node.Config {
	return &node.Config{
		Name:     instance,
		DataDir:  dir,
		DBEngine: "pebble",
		Logger:   l,
		P2P:      p2p.Config{NoDial: true, NoDiscovery: true, MaxPeers: 0, ListenAddr: ""},
	}
}

func ethConfig(c Config) *ethconfig.Config {
	mib := int(c.Cache >> 20)
	o := ethconfig.Defaults
	o.Genesis = c.Genesis.Spec()
	o.SyncMode = ethconfig.FullSync // with snap sync geth delays every payload after the first
	// Keyed by hash, a state that is written leaves the states of side chains alone, and any number of payloads can follow
	// each other without a forkchoice; keyed by path, geth keeps 128 and is several times slower on blocks like ours.
	o.StateScheme = rawdb.HashScheme
	o.NoPruning = c.Archive
	o.DatabaseCache = max(16, mib/2)
	o.DatabaseHandles = 256
	o.TrieCleanCache = max(8, mib/4)
	o.TrieDirtyCache = max(8, mib/4)
	o.SnapshotCache = 0
	o.TransactionHistory = 0 // keep every index: a wallet asks for old receipts
	o.LogHistory = 0
	o.FilterLogCacheSize = 32
	o.EngineMaxReorgDepth = 0 // the host is the only writer and knows
	o.Miner.GasPrice = big.NewInt(1)
	o.Miner.Recommit = maxFill
	o.GPO.IgnorePrice = big.NewInt(1)
	o.TxPool.PriceLimit = 1
	o.TxPool.Journal = poolJournal
	o.TxPool.Rejournal = 10 * time.Minute
	o.BlobPool.Datadir = "" // no blobs: nothing to keep on disk
	return &o
}
