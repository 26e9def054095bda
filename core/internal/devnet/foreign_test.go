package devnet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// bundle is the example signer in JavaScript, which `make js` builds.
const bundle = "../../../examples/signer-js/dist/alys-signer-js"

// foreign is its block: it takes the same key, from the same file, as the built-in signer.
const foreign = `plugin "signer" "js" {
  command = %q
  env     = { PATH = %q } # for the interpreter in its first line
  config {
    keystore = "./keys/dev-1.json"
    password = "dev"
  }
}
`

// TestEndToEndASignerOfAnotherLanguageTakesOver swaps the authority's key over to a signer that shares no code with the
// node, kills it, and swaps back: every slot has its block.
func TestEndToEndASignerOfAnotherLanguageTakesOver(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and needs Node.js")
	}
	path, err := filepath.Abs(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make js`", err)
	}
	n := start(t, noProbation()+fmt.Sprintf(foreign, path, os.Getenv("PATH")))
	swap := func(from, to string) {
		t.Helper()
		n.Edit("primary = plugin.signer."+from+"\n", "primary = plugin.signer."+to+"\n")
		if out, ok := n.Alys("apply", "--auto-approve"); !ok {
			t.Fatalf("to %s: %s", to, out)
		}
		if g := n.Primary("signer"); g.Plugin != to {
			t.Fatalf("%s serves, want %s", g.Plugin, to)
		}
	}
	swap("local", "js")
	n.UntilBlocks(3)
	wantNoFailure(t, n)

	first := n.Primary("signer").PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.Until("the signer is restarted", 30*time.Second, func() bool {
		g := n.Primary("signer")
		return g.PID != 0 && g.PID != first
	})
	n.UntilBlocks(2)

	swap("js", "local")
	n.UntilBlocks(2)
	audit(t, n)
}
