package blackboxtest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alys-node/alys/sdk/schema"
)

// maxSnapshot bounds how many files are compared; a folder with more is somebody's home.
const maxSnapshot = 20_000

// snapshot is what lies below a folder: size, mode and time of each file. A missing folder has nothing.
func snapshot(dir string) map[string]string {
	out := map[string]string{}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || len(out) > maxSnapshot {
			return fs.SkipDir // gone meanwhile, or not ours to read
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // gone meanwhile
		}
		out[path] = fmt.Sprintf("%s, %d bytes", info.Mode(), info.Size())
		if !d.IsDir() {
			out[path] += info.ModTime().Format(", 15:04:05.000000000")
		}
		return nil
	})
	return out
}

// changed says how two snapshots differ, or "".
func changed(before, after map[string]string) string {
	var out []string
	for path, was := range before {
		if is, ok := after[path]; !ok {
			out = append(out, path+" is gone")
		} else if is != was {
			out = append(out, path+" was changed")
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			out = append(out, path+" is new")
		}
	}
	slices.Sort(out)
	if len(out) > 5 {
		out = append(out[:5], fmt.Sprintf("and %d more", len(out)-5))
	}
	return strings.Join(out, ", ")
}

// named is a snapshot of everything that the configuration names.
func (s *subject) named() map[string]string {
	out := map[string]string{}
	for _, path := range s.ownPaths() {
		maps.Copy(out, snapshot(path))
	}
	return out
}

// ownPaths are the files and folders that the configuration names.
func (s *subject) ownPaths() []string {
	var given map[string]any
	if json.Unmarshal(s.o.ConfigJSON, &given) != nil {
		return nil
	}
	return pathsOf(s.schema, given)
}

func pathsOf(b schema.Block, given map[string]any) []string {
	var out []string
	for _, a := range b.Attributes {
		if v, ok := given[a.Name].(string); ok && a.Type == schema.Path && filepath.IsAbs(v) {
			out = append(out, v)
		}
	}
	for _, nested := range b.Blocks {
		for _, v := range blocksOf(given[nested.Name]) {
			out = append(out, pathsOf(nested, v)...)
		}
	}
	return out
}

// secret is a sensitive value of the configuration, and the argument that holds it: "block.argument" in a nested block.
type secret struct{ argument, value string }

// secrets are the sensitive values of the configuration that are long enough to be told from other text.
func (s *subject) secrets() []secret {
	var given map[string]any
	if json.Unmarshal(s.o.ConfigJSON, &given) != nil {
		return nil
	}
	return secretsOf(s.schema, given, "")
}

func secretsOf(b schema.Block, given map[string]any, prefix string) []secret {
	var out []secret
	for _, a := range b.Attributes {
		if !a.Sensitive {
			continue
		}
		for _, v := range textsOf(given[a.Name]) {
			if v = strings.TrimSpace(v); len(v) >= 4 {
				out = append(out, secret{prefix + a.Name, v})
			}
		}
	}
	for _, nested := range b.Blocks {
		for _, v := range blocksOf(given[nested.Name]) {
			out = append(out, secretsOf(nested, v, prefix+nested.Name+".")...)
		}
	}
	return out
}

// textsOf are the texts of an argument: one, or those of a list or a map.
func textsOf(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		out = append(out, v)
	case []any:
		for _, e := range v {
			out = append(out, textsOf(e)...)
		}
	case map[string]any:
		for _, e := range v {
			out = append(out, textsOf(e)...)
		}
	}
	return out
}

// blocksOf are the nested blocks of one name: one, or a list of them.
func blocksOf(v any) []map[string]any {
	switch v := v.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []any:
		var out []map[string]any
		for _, e := range v {
			if m, ok := e.(map[string]any); ok {
				out = append(out, m)
			}
		}
		return out
	}
	return nil
}

// shows reports whether a text holds a value, as it is or as a log in JSON writes it.
func shows(text, value string) bool {
	if strings.Contains(text, value) {
		return true
	}
	for _, forHTML := range []bool{true, false} { // encoders differ in <, > and &
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(forHTML)
		if enc.Encode(value) != nil {
			return false // a text is always encoded
		}
		written := strings.TrimSuffix(strings.TrimPrefix(b.String(), `"`), "\"\n")
		if strings.Contains(text, written) {
			return true
		}
	}
	return false
}

// outside are the files of a list that lie in none of the folders.
func outside(files []string, folders ...string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		return slices.ContainsFunc(folders, func(dir string) bool {
			rel, err := filepath.Rel(dir, strings.TrimSuffix(f, " (deleted)"))
			return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
		})
	})
}
