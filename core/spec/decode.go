package spec

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// decoder fills the file structs from a tree, notes where each path stands, and goes on after a problem.
type decoder struct {
	problems *problems
	lines    map[string]int
}

var rawType = reflect.TypeFor[json.RawMessage]()

func (d *decoder) decode(n *node, path string, v reflect.Value) {
	d.lines[path] = n.line
	if v.Type() == rawType {
		v.SetBytes(n.raw)
		return
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		if s, isText := d.text(n, path); isText {
			if err := u.UnmarshalText([]byte(s)); err != nil {
				d.problems.add(n.line, path, "%s", err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, path, v.Elem())
	case reflect.Struct:
		d.object(n, path, v)
	case reflect.Slice:
		d.array(n, path, v)
	case reflect.String:
		if s, ok := d.text(n, path); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		d.boolean(n, path, v)
	case reflect.Uint32, reflect.Uint64, reflect.Int64:
		d.number(n, path, v)
	default:
		panic(fmt.Sprintf("spec: a file field of kind %s", v.Kind()))
	}
}

func (d *decoder) object(n *node, path string, v reflect.Value) {
	if n.kind != '{' {
		d.problems.add(n.line, path, "must be an object")
		return
	}
	known := map[string]bool{}
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		known[name] = true
		member, ok := n.members[name]
		switch {
		case ok:
			d.decode(member, join(path, name), v.Field(i))
		case options != "omitempty":
			d.problems.add(n.line, join(path, name), "is missing")
		}
	}
	for _, key := range n.keys {
		if !known[key] {
			d.problems.add(n.members[key].line, join(path, key), "is not a key of a chain spec")
		}
	}
}

func (d *decoder) array(n *node, path string, v reflect.Value) {
	if n.kind != '[' {
		d.problems.add(n.line, path, "must be an array")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		d.decode(item, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
	}
}

func (d *decoder) text(n *node, path string) (string, bool) {
	var s string
	if n.kind != 'v' || n.raw[0] != '"' || json.Unmarshal(n.raw, &s) != nil {
		d.problems.add(n.line, path, "must be a string")
		return "", false
	}
	return s, true
}

func (d *decoder) boolean(n *node, path string, v reflect.Value) {
	switch string(n.raw) {
	case "true":
		v.SetBool(true)
	case "false":
	default:
		d.problems.add(n.line, path, "must be true or false")
	}
}

func (d *decoder) number(n *node, path string, v reflect.Value) {
	bits := v.Type().Bits()
	if v.CanInt() {
		bits-- // all numbers of a spec are positive
	}
	u, err := strconv.ParseUint(string(n.raw), 10, bits)
	if err != nil {
		d.problems.add(n.line, path, "must be a whole number from 0 to %d, without quotes", uint64(1)<<bits-1)
		return
	}
	if v.CanInt() {
		v.SetInt(int64(u))
		return
	}
	v.SetUint(u)
}
