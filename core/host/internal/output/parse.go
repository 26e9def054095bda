package output

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// entry is one line, understood.
type entry struct {
	level   hclog.Level
	message string
	pairs   []any
}

// parse reads a line. Keys that hclog adds by itself (@level, @message, @module, @timestamp, @caller) are not repeated
// as pairs; the rest come sorted.
func parse(line string) entry {
	if strings.HasPrefix(line, "{") {
		var fields map[string]any
		dec := json.NewDecoder(strings.NewReader(line))
		dec.UseNumber()
		if dec.Decode(&fields) == nil {
			if e, ok := structured(fields); ok {
				return e
			}
		}
	}
	if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "["), "]"); ok && line[0] == '[' {
		if level := hclog.LevelFromString(name); level != hclog.NoLevel && level != hclog.Off {
			return entry{level: level, message: strings.TrimSpace(rest)}
		}
	}
	return entry{level: hclog.Info, message: line}
}

// shorten writes a structured line for people; any other line stays as it is.
func shorten(line string) string {
	if !strings.HasPrefix(line, "{") {
		return line
	}
	e := parse(line)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.level, e.message)
	for i := 0; i+1 < len(e.pairs); i += 2 {
		fmt.Fprintf(&b, " %v=%v", e.pairs[i], e.pairs[i+1])
	}
	return b.String()
}

func structured(fields map[string]any) (entry, bool) {
	message, ok := fields["@message"].(string)
	if !ok {
		return entry{}, false
	}
	name, _ := fields["@level"].(string)
	e := entry{level: hclog.LevelFromString(name), message: message}
	if e.level == hclog.NoLevel || e.level == hclog.Off {
		e.level = hclog.Info
	}
	var keys []string
	for k := range fields {
		if !strings.HasPrefix(k, "@") {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		e.pairs = append(e.pairs, k, plain(fields[k]))
	}
	return e, true
}

// plain keeps scalars and writes lists and objects as JSON.
func plain(v any) any {
	switch v.(type) {
	case []any, map[string]any:
		b, err := json.Marshal(v)
		if err != nil {
			return v
		}
		return string(b)
	}
	return v
}
