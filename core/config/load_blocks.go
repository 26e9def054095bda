package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// loadBlocks decodes every block that is neither a plugin nor a route.
func (l *loader) loadBlocks() {
	l.only(nodeBlock(), &l.cfg.Node)
	var validator Validator
	if l.only(validatorBlock(), &validator) && validator.Enabled {
		l.cfg.Validator = &validator
	}
	l.only(chainBlock(), &l.cfg.Chain)
	l.only(networkBlock(), &l.cfg.Network)
	var bitcoin Bitcoin
	if l.only(bitcoinBlock(), &bitcoin) {
		l.cfg.Bitcoin = &bitcoin
	}
	l.only(telemetryBlock(), &l.cfg.Telemetry)
	l.only(logBlock(), &l.cfg.Log)
	l.only(swapBlock(), &l.cfg.Swap)
	l.only(restartBlock(), &l.cfg.Restart)
	l.only(backupBlock(), &l.cfg.Backup)
	l.loadListeners()
	l.loadFlags()
	l.dataDirDefaults()
}

// dataDirDefaults fills in the paths that are inside the data folder unless they are written.
func (l *loader) dataDirDefaults() {
	dir := l.cfg.Node.DataDir
	for path, name := range map[*string]string{
		&l.cfg.Node.AdminSocket: "alys.sock", &l.cfg.Network.IdentityKey: "p2p.key", &l.cfg.Backup.Dir: "backups",
	} {
		if *path == "" && dir != "" {
			*path = filepath.Join(dir, name)
		}
	}
}

// only decodes a block that may be there once, and reports whether it is there. An absent block gives its defaults.
func (l *loader) only(b block, into any) bool {
	written := l.named(b.name)
	for _, extra := range written[min(1, len(written)):] {
		l.add(duplicate(extra, written[0]))
	}
	if len(written) == 0 {
		switch {
		case b.required:
			l.add(problem(CodeMissingBlock, hcl.Range{}, fmt.Sprintf("The block %s is missing", b.name),
				fmt.Sprintf("%s Add: %s { … }", b.doc, b.name)))
		case len(requiredFields(b)) == 0:
			l.into(b, b.name, &hclsyntax.Body{}, into)
		}
		return false
	}
	l.noLabels(written[0])
	l.place(b.name, written[0])
	l.into(b, b.name, written[0].Body, into)
	return true
}

func requiredFields(b block) []string {
	var names []string
	for _, f := range b.fields {
		if f.Required {
			names = append(names, f.Name)
		}
	}
	return names
}

// into decodes a body into a struct with the block's names as JSON tags, and keeps the value for the hash. It reports
// whether there was no error.
func (l *loader) into(b block, key string, body *hclsyntax.Body, into any) bool {
	ctx := l.scope.context()
	l.checkBody(body, l.known(), ctx)
	return l.decodeInto(l.decoder(ctx), b, key, body, into)
}

func (l *loader) decodeInto(d *decoder, b block, key string, body *hclsyntax.Body, into any) bool {
	value, found := d.decode(body, b)
	l.add(found...)
	if value.clear == nil {
		return false
	}
	l.keep(key, value)
	l.fill(key, value, into)
	return true
}

// fill cannot go wrong unless block and struct differ, which a test rules out; it is reported all the same.
func (l *loader) fill(key string, value decoded, into any) {
	raw, err := json.Marshal(value.clear)
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		err = dec.Decode(into)
	}
	if err != nil {
		l.add(problem(CodeInvalidValue, hcl.Range{}, fmt.Sprintf("The block %s cannot be used", key), l.src.scrub(err.Error())))
	}
}

// keep notes a block's value for Redacted and the hash.
func (l *loader) keep(key string, value decoded) {
	l.redacted[key] = value.redacted
	if len(value.secrets) > 0 {
		l.guarded[key] = value.clear
	}
}

// place remembers where a block and its arguments stand.
func (l *loader) place(key string, b *hclsyntax.Block) {
	l.cfg.ranges[key] = rangeOf(b.DefRange())
	for name, a := range b.Body.Attributes {
		l.cfg.ranges[key+"."+name] = rangeOf(a.Expr.Range())
	}
	for _, nested := range b.Body.Blocks {
		if nested.Type != "config" {
			l.place(key+"."+nested.Type, nested)
		}
	}
}

// loadListeners decodes the listener that each name has, written or not.
func (l *loader) loadListeners() {
	written := map[string]*hclsyntax.Block{}
	for _, b := range l.named("listener") {
		if len(b.Labels) != 1 {
			l.oneName(b)
			continue
		}
		name := b.Labels[0]
		if !slices.Contains(listenerNames(), name) {
			l.add(problem(CodeInvalidName, b.LabelRanges[0], fmt.Sprintf("Unknown listener %q", name),
				"Listeners are wallet, miner, metrics, p2p and admin."+didYouMean(name, listenerNames())))
			continue
		}
		if first, ok := written[name]; ok {
			l.add(duplicate(b, first))
			continue
		}
		written[name] = b
		l.place("listener."+name, b)
	}
	all := &l.cfg.Listeners
	for name, into := range map[string]*Listener{
		"wallet": &all.Wallet, "miner": &all.Miner, "metrics": &all.Metrics, "p2p": &all.P2P, "admin": &all.Admin,
	} {
		body := &hclsyntax.Body{}
		if b := written[name]; b != nil {
			body = b.Body
		}
		l.into(listenerBlock(name), "listener."+name, body, into)
		if name == "admin" && written[name] == nil {
			into.Enabled = false
		}
	}
}
