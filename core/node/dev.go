package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	keystorev4 "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"

	"github.com/alys-node/alys/core/network"
	"github.com/alys-node/alys/core/spec"
	"github.com/alys-node/alys/sdk/bls"
)

// devPassword seals the development keystores. It protects nothing: the keys are public.
const devPassword = "dev"

// devConfig is the configuration of a lone development node.
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
func PrepareDev(dir string) (string, error) { return prepareDev(dir, 0, devConfig) }

// DevPorts are where a node of a development federation listens, on the loopback interface.
type DevPorts struct{ Wallet, Metrics, P2P int }

// DefaultDevPorts are the ports of node i: the defaults of a node, plus i.
func DefaultDevPorts(i int) DevPorts { return DevPorts{8545 + i, 9001 + i, 30300 + i} }

// PrepareFederation makes a data folder for each of n nodes, with one authority key each, below dir: node-0 to node-(n-1).
// The nodes know each other by their peer ids. Folders that are there stay as they are. It returns the paths of their
// configurations.
func PrepareFederation(dir string, n int, ports func(i int) DevPorts) ([]string, error) {
	if n < 2 || n > spec.MaxDevNodes {
		return nil, fmt.Errorf("a federation of %d nodes: there are development chains of 2 to %d", n, spec.MaxDevNodes)
	}
	addresses := make([]string, n)
	for i := range n {
		folder := nodeDir(dir, i)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
		id, err := network.LoadIdentity(filepath.Join(folder, "p2p.key"))
		if err != nil {
			return nil, err
		}
		addresses[i] = fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", ports(i).P2P, id.ID())
	}
	paths := make([]string, n)
	for i := range n {
		var err error
		if paths[i], err = prepareDev(nodeDir(dir, i), i, federationConfig(i, n, ports(i), addresses)); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

func nodeDir(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("node-%d", i)) }

// federationConfig is the configuration of node i of n: a lone node's, with the chain, the listeners and the peers of this one.
func federationConfig(i, n int, p DevPorts, addresses []string) string {
	var b strings.Builder
	replace := strings.NewReplacer(`name     = "dev-0"`, fmt.Sprintf(`name     = "dev-%d"`, i), `spec = "dev"`, fmt.Sprintf(`spec = "dev-%d"`, n))
	b.WriteString(replace.Replace(devConfig))
	b.WriteString("\n# Two slots: what peers have from our keys is heard before anything is signed.\nvalidator {\n  doppelganger_wait = \"4s\"\n}\n")
	for _, l := range []struct {
		name string
		port int
	}{{"wallet", p.Wallet}, {"metrics", p.Metrics}, {"p2p", p.P2P}} {
		fmt.Fprintf(&b, "\nlistener %q {\n  address = \"127.0.0.1:%d\"\n}\n", l.name, l.port)
	}
	b.WriteString("\nnetwork {\n  static_peers = [\n")
	for j, a := range addresses {
		if j != i {
			fmt.Fprintf(&b, "    %q,\n", a)
		}
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

// prepareDev makes a data folder with the key of the dev chain's authority i and a configuration, unless it has one.
func prepareDev(dir string, i int, text string) (string, error) {
	config := filepath.Join(dir, "alys.hcl")
	if _, err := os.Stat(config); err == nil {
		return config, nil
	}
	keys := filepath.Join(dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return "", fmt.Errorf("make data folder: %w", err)
	}
	keystore, err := devKeystore(i)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(keys, fmt.Sprintf("dev-%d.json", i+1)), keystore, 0o600); err != nil {
		return "", fmt.Errorf("write dev key: %w", err)
	}
	// The configuration comes last, and whole: a folder that has one is complete.
	temp := config + ".new"
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
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
