package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/bls"
)

// devPassword seals the development keystores. It protects nothing: the keys are public.
const devPassword = "dev"

// devConfig is the configuration that PrepareDev writes.
const devConfig = `# Written by "alys dev". It is yours to edit: change a role, then "alys plan" and "alys apply" while blocks go on.
# Everything here is for development: the keys are public.

node {
  name     = "dev-0"
  data_dir = "."
}

chain {
  spec = "dev"
}

log {
  file = "./alys.log"
}

# Two instances of the local signer over the same keys: swap between them. "alys bench sign" may measure both.
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

// Account is a funded account of the dev chain.
type Account struct {
	Address    string // 0x and 40 hex digits
	PrivateKey string // 0x and 64 hex digits
}

// DevAccount is the account that the dev chain funds at genesis. Its key is public.
func DevAccount() Account {
	return Account{spec.DevAccount, spec.DevAccountKey}
}

// PrepareDev makes a data folder for a development chain, unless it is there, and returns the path of its configuration.
func PrepareDev(dir string) (string, error) {
	config := filepath.Join(dir, "alys.hcl")
	if _, err := os.Stat(config); err == nil {
		return config, nil
	}
	keys := filepath.Join(dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return "", fmt.Errorf("make data folder: %w", err)
	}
	keystore, err := devKeystore(0)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(keys, "dev-1.json"), keystore, 0o600); err != nil {
		return "", fmt.Errorf("write dev key: %w", err)
	}
	// The configuration comes last, and whole: a folder that has one is complete.
	temp := config + ".new"
	if err := os.WriteFile(temp, []byte(devConfig), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	if err := os.Rename(temp, config); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return config, nil
}

// devKeystore seals the BLS secret of the dev chain's authority i, which everybody knows, as an EIP-2335 keystore.
func devKeystore(i int) ([]byte, error) {
	n := i + 1
	secret := spec.DevSecret(i)
	key, err := bls.ParseSecretKey(secret)
	if err != nil {
		return nil, fmt.Errorf("dev key %d: %w", n, err)
	}
	sealed, err := keystorev4.New(keystorev4.WithCipher("pbkdf2")).Encrypt(secret, devPassword)
	if err != nil {
		return nil, fmt.Errorf("seal dev key %d: %w", n, err)
	}
	raw, err := json.MarshalIndent(map[string]any{
		"crypto": sealed, "description": fmt.Sprintf("alys dev authority %d (public key material)", n), "path": "",
		"pubkey": strings.TrimPrefix(key.Public().String(), "0x"), "uuid": fmt.Sprintf("00000000-0000-4000-8000-%012d", n), "version": 4,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode dev key %d: %w", n, err)
	}
	return append(raw, '\n'), nil
}
