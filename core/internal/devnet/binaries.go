package devnet

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

const module = "github.com/alys-node/alys"

// Binaries are the built programs.
type Binaries struct {
	Alys    string // the node and the operator's command line
	Plugins string // the folder of plugins, as plugin_dir wants it
	Bad     string // the liar: a signer that misbehaves as it is told; absolute path
	Liar    string // the real engine, which lies when a file says so; absolute path
	Halt    string // a node that halts where Node.HaltAt says
}

// Build builds the node, the built-in plugins of a development chain, and what tests need beside them, into dir.
func Build(dir string) (Binaries, error) {
	b := Binaries{
		Alys: filepath.Join(dir, "alys"), Plugins: filepath.Join(dir, "plugins"),
		Bad: filepath.Join(dir, "liar"), Liar: filepath.Join(dir, "engine-liar"), Halt: filepath.Join(dir, "halt-node"),
	}
	for output, source := range map[string]string{
		b.Alys: "cmd/alys",
		b.Bad:  "core/internal/liars/testdata/liar",
		b.Liar: "plugins/internal/executor/testdata/liar",
		b.Halt: "core/internal/devnet/testdata/haltnode",
		filepath.Join(b.Plugins, "alys-signer-local"):    "plugins/signer/local",
		filepath.Join(b.Plugins, "alys-engine-v4"):       "plugins/engine/v4",
		filepath.Join(b.Plugins, "alys-engine-v5"):       "plugins/engine/v5",
		filepath.Join(b.Plugins, "alys-sync-sequential"): "plugins/sync/sequential",
		filepath.Join(b.Plugins, "alys-sync-parallel"):   "plugins/sync/parallel",
	} {
		if out, err := exec.Command("go", "build", "-trimpath", "-o", output, module+"/"+source).CombinedOutput(); err != nil {
			return b, fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	return b, nil
}
