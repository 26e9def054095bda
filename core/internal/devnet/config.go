package devnet

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

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

// freePort finds a loopback address that nobody listens on now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
