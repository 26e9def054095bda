package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/wire"
)

// output is where a process that a person runs writes to.
type output struct{ out, err io.Writer }

// startedAs tells as which kind a node started this process, by the handshake's cookie.
func startedAs(getenv func(string) string) (lifecycle.Kind, bool) {
	for _, k := range lifecycle.Kinds() {
		h := wire.Handshake(k)
		if getenv(h.MagicCookieKey) == h.MagicCookieValue {
			return k, true
		}
	}
	return "", false
}

// checkKind refuses a plugin that does not implement its contract, and one that was configured as another kind.
func checkKind(p lifecycle.Plugin, started lifecycle.Kind) error {
	if err := wire.Check(p); err != nil {
		return err
	}
	if d := p.Describe(); d.Kind != started {
		return fmt.Errorf("%q is of kind %q and the node started it as %q: "+
			"correct the first label of its plugin block in alys.hcl, or its command", d.Name, d.Kind, started)
	}
	return nil
}

// byHand answers a person who runs the binary.
func byHand(p lifecycle.Plugin, args []string, o output) int {
	if err := wire.Check(p); err != nil {
		_, _ = fmt.Fprintln(o.err, "error:", err)
		return 1
	}
	d := p.Describe()
	if len(args) == 2 && (args[1] == "describe" || args[1] == "--version" || args[1] == "-version") {
		return printDescription(d, o)
	}
	name := filepath.Base(args[0])
	_, _ = fmt.Fprintf(o.err, `%[1]s is a plugin of alys: kind %[2]q, name %[3]q, version %[4]s.
It does nothing by itself: the node starts it. Name it in alys.hcl:

    plugin %[2]q %[3]q {
      command = %[5]q
    }

and give it to a role:

    role %[2]q {
      primary = plugin.%[2]s.%[3]s
    }

"%[1]s describe" prints what it is as JSON.
`, name, d.Kind, d.Name, d.Version, args[0])
	return 1
}

func printDescription(d lifecycle.Description, o output) int {
	b, err := json.MarshalIndent(struct {
		Kind          lifecycle.Kind         `json:"kind"`
		Name          string                 `json:"name"`
		Version       string                 `json:"version"`
		Capabilities  []lifecycle.Capability `json:"capabilities"`
		Deterministic bool                   `json:"deterministic"`
		Network       bool                   `json:"network"`
		Protocol      int                    `json:"protocol"`
	}{d.Kind, d.Name, d.Version, append([]lifecycle.Capability{}, d.Capabilities...), d.Deterministic, d.Network, wire.ProtocolVersion}, "", "  ")
	if err != nil {
		_, _ = fmt.Fprintln(o.err, "error:", err)
		return 1
	}
	_, _ = fmt.Fprintln(o.out, string(b))
	return 0
}
