package config

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/alys-node/alys/sdk/lifecycle"
	"github.com/alys-node/alys/sdk/signer"
)

// Bytes is a size in bytes, written "64MiB" in alys.hcl.
type Bytes int64

var _ fmt.Stringer = Bytes(0)

// String is the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	n, i := int64(b), 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	return strconv.FormatInt(n, 10) + units[i]
}

// ParseBytes reads a whole number followed by B, KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers of 1000).
func ParseBytes(s string) (Bytes, error) {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end <= 0 {
		return 0, fmt.Errorf("a size is a whole number and a unit, such as \"64MiB\"")
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the number is too large")
	}
	factor, ok := byteUnit(strings.TrimSpace(s[end:]))
	if !ok {
		return 0, fmt.Errorf("the unit is one of B, KiB, MiB, GiB, TiB, KB, MB, GB, TB")
	}
	if n > math.MaxInt64/factor {
		return 0, fmt.Errorf("the size is too large")
	}
	return Bytes(n * factor), nil
}

func byteUnit(s string) (int64, bool) {
	switch s {
	case "B":
		return 1, true
	case "KiB":
		return 1 << 10, true
	case "MiB":
		return 1 << 20, true
	case "GiB":
		return 1 << 30, true
	case "TiB":
		return 1 << 40, true
	case "KB":
		return 1e3, true
	case "MB":
		return 1e6, true
	case "GB":
		return 1e9, true
	case "TB":
		return 1e12, true
	}
	return 0, false
}

// ParseDuration reads a duration such as "60s", "1h30m" or "100ms". It is never negative.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("a duration is a number and a unit (ms, s, m, h), such as \"60s\"")
	}
	if d < 0 {
		return 0, fmt.Errorf("a duration is not negative")
	}
	return d, nil
}

// Secret is a text that printing, formatting and JSON never show.
type Secret string

const secretText = "(sensitive)"

// String is a fixed text.
func (Secret) String() string { return secretText }

// GoString is a fixed text.
func (Secret) GoString() string { return secretText }

// MarshalJSON is a fixed text, so that a secret inside a struct never reaches a log or `--json`.
func (Secret) MarshalJSON() ([]byte, error) { return json.Marshal(secretText) }

// Reveal is the text itself.
func (s Secret) Reveal() string { return string(s) }

// PluginID names a plugin block: its kind and its label. The zero value is "no plugin".
type PluginID struct {
	Kind lifecycle.Kind
	Name string
}

// IsZero reports whether this names no plugin.
func (id PluginID) IsZero() bool { return id == PluginID{} }

// String is "signer.local", and empty for no plugin.
func (id PluginID) String() string {
	if id.IsZero() {
		return ""
	}
	return string(id.Kind) + "." + id.Name
}

// MarshalText is String's form.
func (id PluginID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads String's form.
func (id *PluginID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = PluginID{}
		return nil
	}
	kind, name, ok := strings.Cut(string(b), ".")
	if !ok || !validKind(kind) || !validName(name) {
		return fmt.Errorf("plugin %q is not KIND.NAME", b)
	}
	*id = PluginID{Kind: lifecycle.Kind(kind), Name: name}
	return nil
}

// RoleID names a role: a kind, and for a signer optionally one purpose of its keys.
type RoleID struct {
	Kind    lifecycle.Kind
	Purpose signer.Purpose // empty: every purpose
}

// String is "engine", or "signer.approval" for a narrowed role.
func (id RoleID) String() string {
	if id.Purpose == "" {
		return string(id.Kind)
	}
	return string(id.Kind) + "." + string(id.Purpose)
}

// MarshalText is String's form.
func (id RoleID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads String's form.
func (id *RoleID) UnmarshalText(b []byte) error {
	kind, purpose, narrowed := strings.Cut(string(b), ".")
	role := RoleID{Kind: lifecycle.Kind(kind), Purpose: signer.Purpose(purpose)}
	if !validKind(kind) || narrowed && (role.Kind != lifecycle.Signer || !validPurpose(purpose)) {
		return fmt.Errorf("role %q is not signer, signer.approval, signer.bitcoin, engine or sync", b)
	}
	*id = role
	return nil
}

func validKind(s string) bool {
	for _, k := range lifecycle.Kinds() {
		if string(k) == s {
			return true
		}
	}
	return false
}

func validPurpose(s string) bool {
	return s == string(signer.PurposeApproval) || s == string(signer.PurposeBitcoin)
}

// validName reports whether s may name a plugin, migration, flag or step: it becomes part of paths, metrics and
// expressions, so it is a short HCL identifier without separators.
func validName(s string) bool {
	if s == "" || len(s) > 32 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return true
}
