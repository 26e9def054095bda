package spec_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/alys-node/alys/core/spec"
)

var update = flag.Bool("update", false, "write examples/federation/spec.json")

// TestFederationOfTheExamples: it is the development chain of three with ids, a name and proof-of-work bits of its own.
// Whoever changes the format sees it here, and writes the file anew.
func TestFederationOfTheExamples(t *testing.T) {
	const path, chainID = "../../examples/federation/spec.json", 212121
	var f map[string]any
	must(t, json.Unmarshal(spec.DevNodes(3).Encode(), &f))
	f["name"], f["chain_id"] = "federation", chainID
	f["execution_genesis"].(map[string]any)["config"].(map[string]any)["chainId"] = chainID
	pow := f["pow"].(map[string]any)
	pow["bits"] = 486604799
	delete(pow, "no_retarget")
	raw, err := json.Marshal(f)
	must(t, err)
	want, err := spec.Parse(raw)
	must(t, err)
	if *update {
		must(t, os.WriteFile(path, want.Encode(), 0o600))
	}
	got, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want.Encode()), string(got)); diff != "" {
		t.Errorf("spec.json is another one (-want +got; -update writes it):\n%s", diff)
	}
	genesis, err := want.Genesis()
	must(t, err)
	if dev, _ := spec.DevNodes(3).Genesis(); genesis.Header.Hash() == dev.Header.Hash() {
		t.Error("it is the development chain itself")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
