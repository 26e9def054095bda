package config

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/alys-node/alys/sdk/chain"
)

// check says what is wrong with a value, without repeating the value, or returns "". The value has the argument's type
// and is known, not null and unmarked; durations, sizes and paths are the strings that were written.
type check func(v cty.Value) string

const (
	namePattern = `^[a-z][a-z0-9_-]{0,31}$`
	nameRule    = "a lower-case letter, then at most 31 lower-case letters, digits, \"-\" or \"_\""
)

func all(checks []check) check {
	if len(checks) == 0 {
		return nil
	}
	return func(v cty.Value) string {
		for _, c := range checks {
			if problem := c(v); problem != "" {
				return problem
			}
		}
		return ""
	}
}

func text(f func(s string) string) check {
	return func(v cty.Value) string { return f(v.AsString()) }
}

func orEmpty(c check) check {
	return func(v cty.Value) string {
		if v.AsString() == "" {
			return ""
		}
		return c(v)
	}
}

func each(c check) check {
	return func(v cty.Value) string {
		for it := v.ElementIterator(); it.Next(); {
			key, e := it.Element()
			if e.IsNull() || !e.IsKnown() {
				continue
			}
			if problem := c(e); problem != "" {
				return fmt.Sprintf("element %s: %s", elementName(key), problem)
			}
		}
		return ""
	}
}

func elementName(key cty.Value) string {
	if key.Type() == cty.String {
		return strconv.Quote(key.AsString())
	}
	return key.AsBigFloat().Text('f', 0)
}

func nonEmpty(v cty.Value) string {
	if strings.TrimSpace(v.AsString()) == "" {
		return "it must not be empty"
	}
	return ""
}

func matches(pattern, rule string) check {
	re := regexp.MustCompile(pattern)
	return text(func(s string) string {
		if !re.MatchString(s) {
			return "it must be " + rule
		}
		return ""
	})
}

func prefix(want string) check {
	return text(func(s string) string {
		if !strings.HasPrefix(s, want) {
			return fmt.Sprintf("it must start with %q", want)
		}
		return ""
	})
}

func oneOf(options ...string) check {
	return text(func(s string) string {
		if slices.Contains(options, s) {
			return ""
		}
		return "it must be one of " + strings.Join(options, ", ") + "." + didYouMean(s, options)
	})
}

func maxBytes(n int) check {
	return text(func(s string) string {
		if len(s) > n {
			return fmt.Sprintf("it has %d bytes; at most %d are allowed", len(s), n)
		}
		return ""
	})
}

func integer(low, high float64) check {
	return func(v cty.Value) string {
		n := v.AsBigFloat()
		f, _ := n.Float64()
		if !n.IsInt() || f < low || f > high {
			return fmt.Sprintf("it must be a whole number from %s to %s", number(low), number(high))
		}
		return ""
	}
}

func between(low, high float64) check {
	return func(v cty.Value) string {
		f, _ := v.AsBigFloat().Float64()
		if f < low || f > high {
			return fmt.Sprintf("it must be from %s to %s", number(low), number(high))
		}
		return ""
	}
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func positive(v cty.Value) string {
	if d, err := ParseDuration(v.AsString()); err == nil && d == 0 {
		return "it must be longer than 0"
	}
	return ""
}

func atMost30s(v cty.Value) string {
	if d, err := ParseDuration(v.AsString()); err == nil && d > 30*time.Second {
		return "it must be at most \"30s\""
	}
	return ""
}

func sizeBetween(low, high Bytes) check {
	return text(func(s string) string {
		if n, err := ParseBytes(s); err == nil && (n < low || n > high) {
			return fmt.Sprintf("it must be from %s to %s", low, high)
		}
		return ""
	})
}

func checksum(v cty.Value) string {
	one := matches(`^sha256:[0-9a-f]{64}$`, "\"sha256:\" and 64 lower-case hex digits; `alys plugin pin` writes it")
	if v.Type() == cty.String {
		return one(v)
	}
	return each(one)(v)
}

func command(v cty.Value) string {
	s := v.AsString()
	if filepath.IsAbs(s) || !strings.ContainsAny(s, `/\`) && s != "." && s != ".." {
		return ""
	}
	return "it must be a file name in the plugin folder, or an absolute path"
}

func envNames(v cty.Value) string {
	for it := v.ElementIterator(); it.Next(); {
		key, e := it.Element()
		name, _ := key.Unmark()
		value, _ := e.Unmark()
		if s := name.AsString(); s == "" || strings.ContainsAny(s, "=\x00") {
			return "a variable's name must not be empty, nor hold \"=\""
		}
		if value.IsNull() || strings.ContainsRune(value.AsString(), 0) {
			return "a variable's value must not be null, nor hold a zero byte"
		}
	}
	return ""
}

func hostPort(v cty.Value) string {
	host, port, err := net.SplitHostPort(v.AsString())
	if err != nil || strings.ContainsAny(host, " /") {
		return "it must be HOST:PORT, such as \"127.0.0.1:8545\""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "the port must be a number from 0 to 65535"
	}
	return ""
}

func httpURL(v cty.Value) string {
	u, err := url.Parse(v.AsString())
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "it must be an http or https address, such as \"http://127.0.0.1:18443\""
	}
	if u.User != nil {
		return "it must not hold a user or password: use the arguments user and password"
	}
	return ""
}

func multiaddr(v cty.Value) string {
	s := v.AsString()
	if !strings.HasPrefix(s, "/") || strings.Count(s, "/") < 4 {
		return "it must be a multiaddress, such as \"/ip4/192.0.2.1/tcp/30300/p2p/12D3KooW…\""
	}
	return ""
}

// peerAddr is a multiaddress that ends in a peer's id: a peer is known by its id, wherever it answers.
func peerAddr(v cty.Value) string {
	if finding := multiaddr(v); finding != "" {
		return finding
	}
	_, id, found := strings.Cut(v.AsString(), "/p2p/")
	if !found || id == "" || strings.Contains(id, "/") {
		return "it must end in the peer's id, such as \"/ip4/192.0.2.1/tcp/30300/p2p/12D3KooW…\""
	}
	return ""
}

func rfc3339(v cty.Value) string {
	if _, err := time.Parse(time.RFC3339, v.AsString()); err != nil {
		return "it must be a time such as \"2026-01-31T12:00:00Z\""
	}
	return ""
}

func blsKey(v cty.Value) string {
	var k chain.BLSPublicKey
	if k.UnmarshalText([]byte(v.AsString())) != nil {
		return "it must be 0x and 96 hex digits, a BLS public key"
	}
	return ""
}

func bitcoinKey(v cty.Value) string {
	var k chain.BitcoinPublicKey
	if k.UnmarshalText([]byte(v.AsString())) != nil || k[0] != 2 && k[0] != 3 {
		return "it must be 66 hex digits that start with 02 or 03, a compressed secp256k1 public key"
	}
	return ""
}

func address(v cty.Value) string {
	if _, err := chain.ParseAddress(v.AsString()); err != nil {
		return "it must be 0x and 40 hex digits, an account"
	}
	return ""
}

func roleName(v cty.Value) string {
	var id RoleID
	if id.UnmarshalText([]byte(v.AsString())) != nil {
		return "it must be signer, signer.approval, signer.bitcoin, engine or sync." +
			didYouMean(v.AsString(), []string{"signer", "signer.approval", "signer.bitcoin", "engine", "sync"})
	}
	return ""
}

// shortPath keeps a unix socket's path within what the kernel can bind: 107 bytes and a zero.
func shortPath(v cty.Value) string {
	if len(v.AsString()) > 107 {
		return "a socket's path has at most 107 bytes"
	}
	return ""
}
