package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// crossChecks looks at what only several arguments together can get wrong. Blocks that could not be decoded are empty
// here, and have been reported.
func (l *loader) crossChecks() {
	l.checkSpec()
	l.checkChecksums()
	l.checkPorts()
	l.checkExposure()
	l.checkPaths()
	l.checkPairs()
}

// at adds an error at a place that was noted while decoding, or at the block around it.
func (l *loader) at(code Code, key, summary, detail string) {
	l.add(problem(code, l.rangeOf(key), summary, detail))
}

func (l *loader) rangeOf(key string) hcl.Range {
	for {
		if r, ok := l.cfg.ranges[key]; ok {
			return hclRange(r)
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return hcl.Range{}
		}
		key = key[:i]
	}
}

func hclRange(r Range) hcl.Range {
	return hcl.Range{
		Filename: r.File,
		Start:    hcl.Pos{Line: r.Line, Column: r.Column, Byte: r.start},
		End:      hcl.Pos{Line: r.EndLine, Column: r.EndColumn, Byte: r.end},
	}
}

// checkSpec tells a built-in chain from a file: a name has no separator and no dot.
func (l *loader) checkSpec() {
	spec := l.cfg.Chain.Spec
	if spec == "" {
		return
	}
	if !strings.ContainsAny(spec, `./\`) {
		if len(l.opts.Specs) > 0 && !slices.Contains(l.opts.Specs, spec) {
			l.at(CodeUnknownSpec, "chain.spec", fmt.Sprintf("There is no built-in chain %q", spec),
				"Built in: "+strings.Join(l.opts.Specs, ", ")+". A file is written as a path, such as \"./"+spec+".json\"."+didYouMean(spec, l.opts.Specs))
		}
		return
	}
	path := absolute(l.cfg.Dir, spec)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.at(CodeMissingFile, "chain.spec", "The chain spec does not exist", "No file "+path+". Paths are relative to the folder of the configuration.")
	case err != nil:
		l.at(CodeUnreadable, "chain.spec", "The chain spec cannot be read", path+": "+plainError(err))
	case !info.Mode().IsRegular():
		l.at(CodeUnreadable, "chain.spec", "The chain spec is not a file", path+" is a folder or a device.")
	}
	l.cfg.Chain.SpecPath = path
}

// devChain reports whether a built-in chain is for development: dev, and dev-N with N authorities.
func devChain(spec string) bool { return spec == "dev" || strings.HasPrefix(spec, "dev-") }

func (l *loader) checkChecksums() {
	if l.opts.Dev || devChain(l.cfg.Chain.Spec) || l.cfg.Chain.Spec == "" {
		return
	}
	for _, p := range l.cfg.Plugins {
		if p.Command != "" && len(p.Checksum) == 0 {
			l.add(problem(CodeMissingChecksum, hclRange(p.Range), fmt.Sprintf("plugin.%s has no checksum", p.ID),
				fmt.Sprintf("Outside the dev chain a plugin runs only when its checksum is known. Run: alys plugin pin %s", p.ID)))
		}
	}
}

// openListener is a listener that will listen.
type openListener struct {
	name, host, port string
	Listener
}

func (l *loader) openListeners() []openListener {
	all := &l.cfg.Listeners
	named := map[string]Listener{
		"wallet": all.Wallet, "miner": all.Miner, "metrics": all.Metrics, "p2p": all.P2P, "admin": all.Admin,
	}
	var out []openListener
	for _, name := range listenerNames() {
		host, port, err := net.SplitHostPort(named[name].Address)
		if err == nil && named[name].Enabled {
			out = append(out, openListener{name, host, port, named[name]})
		}
	}
	return out
}

func (l *loader) checkPorts() {
	open := l.openListeners()
	for i, b := range open {
		for _, a := range open[:i] {
			if a.port == b.port && b.port != "0" && sameHost(a.host, b.host) {
				l.at(CodePortConflict, l.written("listener."+b.name, "listener."+a.name), "Two listeners share an address",
					fmt.Sprintf("%s listens on %s and %s on %s. Give one another port.", a.name, a.Address, b.name, b.Address))
			}
		}
	}
}

// written is the address of the first of two blocks that is in the file: the other may be a default.
func (l *loader) written(keys ...string) string {
	for _, k := range keys {
		if _, ok := l.cfg.ranges[k+".address"]; ok {
			return k + ".address"
		}
	}
	return keys[0]
}

func sameHost(a, b string) bool {
	return a == b || wildcard(a) || wildcard(b) || loopback(a) && loopback(b) && (a == "localhost" || b == "localhost")
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkExposure refuses an operator's interface that anybody could use, and warns of an open console.
func (l *loader) checkExposure() {
	for _, o := range l.openListeners() {
		guarded := o.Token != "" || o.TLS != nil && o.TLS.ClientCA != ""
		switch {
		case guarded || o.name != "admin" && o.name != "metrics":
		case o.name == "admin":
			l.at(CodeExposed, "listener.admin", "The admin listener has no protection",
				"Whoever reaches it controls the node. Set token, or tls with client_ca.")
		case !loopback(o.host):
			l.add(warning(CodeExposed, l.rangeOf("listener.metrics.address"), "The console is open to the network",
				"Metrics and console listen on "+o.Address+" without protection. Use 127.0.0.1, or set token or tls with client_ca."))
		}
	}
}

// checkPaths looks at files that the node will need, and at the length of the socket's path.
func (l *loader) checkPaths() {
	if socket := l.cfg.Node.AdminSocket; len(socket) > 107 {
		key := "node.admin_socket"
		if _, ok := l.cfg.ranges[key]; !ok {
			key = "node.data_dir"
		}
		l.at(CodeSocketPath, key, "The path of the admin socket is too long",
			fmt.Sprintf("%s has %d bytes; a unix socket's path has at most 107. Set node.admin_socket to a shorter one, such as \"/run/alys.sock\".", socket, len(socket)))
	}
	for _, o := range l.openListeners() {
		if o.TLS != nil {
			key := "listener." + o.name + ".tls."
			l.expectFile(key+"cert", o.TLS.Cert)
			l.expectFile(key+"key", o.TLS.Key)
			l.expectFile(key+"client_ca", o.TLS.ClientCA)
		}
	}
	if b := l.cfg.Bitcoin; b != nil {
		l.expectFile("bitcoin.ca", b.CA)
	}
}

// expectFile warns of a file that is not there yet: something else may make it before the node starts.
func (l *loader) expectFile(key, path string) {
	if path == "" {
		return
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		l.add(warning(CodeMissingFile, l.rangeOf(key), "The file does not exist", "No file "+filepath.Clean(path)+". The node does not start without it."))
	}
}

// checkPairs looks at arguments that need or exclude each other.
func (l *loader) checkPairs() {
	if b := l.cfg.Bitcoin; b != nil {
		if b.CookieFile != "" && (b.User != "" || b.Password != "") {
			l.at(CodeConflict, "bitcoin.cookie_file", "Two ways to log in to the Bitcoin node", "Use cookie_file, or user and password.")
		}
		if b.Password != "" && b.User == "" {
			l.at(CodeConflict, "bitcoin.password", "A password without a user", "Set user too.")
		}
	}
	if b := l.cfg.Backup; b.IncludeKeys && len(b.Recipients) == 0 {
		l.at(CodeConflict, "backup.include_keys", "Keys would be backed up unsealed", "Set recipients, to which the backup is sealed.")
	}
	if n := l.cfg.Network; n.MaxPeers < n.TargetPeers {
		l.at(CodeConflict, l.firstWritten("network.max_peers", "network.target_peers"), "max_peers is below target_peers",
			fmt.Sprintf("The node would look for %d peers and accept %d.", n.TargetPeers, n.MaxPeers))
	}
	if s := l.cfg.Swap; s.PrimaryShare+s.FallbackShare > 0.95 {
		l.at(CodeConflict, l.firstWritten("swap.fallback_share", "swap.primary_share"), "Nothing of the slot is left",
			"primary_share and fallback_share together are at most 0.95 of the slot.")
	}
	l.checkRestart("restart", l.cfg.Restart)
	for _, p := range l.cfg.Plugins {
		l.checkRestart("plugin."+p.ID.String()+".restart", p.Restart)
	}
}

func (l *loader) checkRestart(key string, r Restart) {
	if _, ok := l.cfg.ranges[key]; ok && r.Max < r.Initial {
		l.at(CodeConflict, l.firstWritten(key+".max", key+".initial"), "max is shorter than initial",
			fmt.Sprintf("The first wait is %s and the longest %s.", r.Initial, r.Max))
	}
}

func (l *loader) firstWritten(keys ...string) string {
	for _, k := range keys {
		if _, ok := l.cfg.ranges[k]; ok {
			return k
		}
	}
	return keys[0]
}
