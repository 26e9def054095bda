package devnet

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/bls"
)

// template is the configuration of a node, as `alys dev` writes it, on ports of its own and with a liar beside
// the good signers. $NAMES are replaced by write.
const template = `node {
  name       = "devnet"
  data_dir   = "."
  plugin_dir = "$PLUGINS"
}

chain {
  spec = "dev"
}

log {
  file = "./alys.log"
}

listener "wallet" {
  address = "$WALLET"
}

listener "metrics" {
  address = "$METRICS"
}

listener "p2p" {
  address = "127.0.0.1:0"
}

$EXTRA

plugin "signer" "local" {
  command = "alys-signer-local"
  config {
    keystore = "./keys"
    password = "dev"
    bench    = true
  }
}

plugin "signer" "local2" {
  command = "alys-signer-local"
  config {
    keystore = "./keys"
    password = "dev"
    bench    = true
  }
}

plugin "signer" "bad" {
  command = "$BAD"
  env = {
    LIAR = ""
  }
  config {
    secret = "$SECRET"
    mode   = "none"
  }
}

plugin "engine" "v5" {
  command = "alys-engine-v5"
}

plugin "sync" "sequential" {
  command = "alys-sync-sequential"
}

role "signer" {
  primary = plugin.signer.local
}

role "engine" {
  primary = plugin.engine.v5
}

role "sync" {
  primary = plugin.sync.sequential
}
`

// prepare makes a data folder with the development chain's key and a configuration.
func (n *Node) prepare(extra string) error {
	var err error
	if n.wallet, err = freePort(); err != nil {
		return err
	}
	if n.metrics, err = freePort(); err != nil {
		return err
	}
	text := strings.NewReplacer(
		"$PLUGINS", n.bin.Plugins, "$WALLET", n.wallet, "$METRICS", n.metrics, "$EXTRA", extra, "$BAD", n.bin.Bad,
		"$SECRET", hex.EncodeToString(spec.DevSecret(0)),
	).Replace(template)
	keystore, err := devKeystore()
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(n.Dir, "keys"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.Dir, "keys", "dev-1.json"), keystore, 0o600); err != nil {
		return err
	}
	return os.WriteFile(n.Config(), []byte(text), 0o600)
}

func devKeystore() ([]byte, error) {
	secret := spec.DevSecret(0)
	key, err := bls.ParseSecretKey(secret)
	if err != nil {
		return nil, err
	}
	sealed, err := keystorev4.New(keystorev4.WithCipher("pbkdf2")).Encrypt(secret, "dev")
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"crypto": sealed, "path": "", "pubkey": strings.TrimPrefix(key.Public().String(), "0x"),
		"uuid": "00000000-0000-4000-8000-000000000001", "version": 4,
	})
}

// Ports are below those that the kernel gives to outgoing connections: one of those may take a port between the moment that
// it was seen to be free and the moment that a node listens on it, or while the node is down.
const (
	lowestPort = 12_000
	ports      = 8_000
)

var (
	givenMu sync.Mutex
	given   = map[int]bool{} // guarded by givenMu; ports of this process's nodes, which may be down now
)

// freePort finds a loopback address that nobody listens on and that no other node of this process was given.
func freePort() (string, error) {
	givenMu.Lock()
	defer givenMu.Unlock()
	for range 100 {
		port := lowestPort + rand.IntN(ports) //nolint:gosec // any will do
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if given[port] {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody has it
		}
		given[port] = true
		return address, l.Close()
	}
	return "", errors.New("no free port")
}
