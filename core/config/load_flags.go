package config

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// loadFlags decodes the flag blocks and asks each for its value on this node.
func (l *loader) loadFlags() {
	first := map[string]*hclsyntax.Block{}
	for _, b := range l.named("flag") {
		if !l.oneName(b) {
			continue
		}
		name := b.Labels[0]
		if earlier, dup := first[name]; dup {
			l.add(duplicate(b, earlier))
			continue
		}
		first[name] = b
		f := Flag{Name: name, Range: rangeOf(b.DefRange())}
		l.place("flag."+name, b)
		if l.into(flagBlock(), "flag."+name, b.Body, &f) {
			l.checkFlag(f)
		}
		f.Value = f.valueFor(l.cfg.Node, l.cfg.Validator)
		l.cfg.Flags = append(l.cfg.Flags, f)
	}
}

func (l *loader) checkFlag(f Flag) {
	c := f.Conditions
	if c == nil {
		return
	}
	after, errA := time.Parse(time.RFC3339, c.After)
	before, errB := time.Parse(time.RFC3339, c.Before)
	if errA == nil && errB == nil && !before.After(after) {
		l.at(CodeConflict, "flag."+f.Name+".conditions.before", "The flag is never on", "before is not later than after.")
	}
	if (c.StartHour == nil) != (c.EndHour == nil) {
		l.at(CodeConflict, "flag."+f.Name+".conditions", "Half a time of day", "start_hour and end_hour need each other.")
	}
}

// valueFor is the flag's answer for a node, without its conditions: disabled, then targets, then percentage.
func (f Flag) valueFor(n Node, v *Validator) bool {
	key := ""
	if v != nil {
		key = strings.TrimPrefix(strings.ToLower(v.ApprovalKey), "0x")
	}
	if !f.Enabled || !f.Targets.match(n, key) {
		return false
	}
	id := n.Name
	if key != "" {
		id += ":" + key
	}
	return f.share(id)
}

// share is the same on every machine: the first eight bytes of SHA-256("ID:NAME:v2"), big-endian, below percent of 2^64.
func (f Flag) share(id string) bool {
	if f.Percent >= 100 {
		return true
	}
	sum := sha256.Sum256([]byte(id + ":" + f.Name + ":v2"))
	return float64(binary.BigEndian.Uint64(sum[:8])) < f.Percent/100*math.Pow(2, 64)
}

func (t *FlagTargets) match(n Node, key string) bool {
	if t == nil || len(t.Nodes)+len(t.ApprovalKeys)+len(t.Environments)+len(t.Attributes) == 0 {
		return true
	}
	for _, k := range t.ApprovalKeys {
		if key != "" && strings.TrimPrefix(strings.ToLower(k), "0x") == key {
			return true
		}
	}
	return slices.Contains(t.Nodes, n.Name) || n.Environment != "" && slices.Contains(t.Environments, n.Environment)
}
