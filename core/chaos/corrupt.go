package chaos

import (
	"fmt"
	"math/rand/v2"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Answer changes one field of a plugin's answer when it is that plugin's turn. The host calls it before it looks at the
// answer itself.
func (c *Chaos) Answer(plugin, method string, reply any) {
	m, ok := reply.(proto.Message)
	if !ok {
		return
	}
	if field := c.corruptNext(plugin, m); field != "" {
		c.opt.Say(fmt.Sprintf("chaos: %s answers %s with another %s", plugin, method, field))
	}
}

func (c *Chaos) corruptNext(plugin string, m proto.Message) protoreflect.FullName {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corrupt[plugin] == 0 {
		return ""
	}
	field := corrupt(m.ProtoReflect(), c.rand)
	if field != "" {
		c.corrupt[plugin]--
	}
	return field
}

// slot is one value of a message that can be changed, and how.
type slot struct {
	field  protoreflect.FieldDescriptor
	change func()
}

// corrupt changes one value of a message and returns the field's full name; "" for a message without any value.
func corrupt(m protoreflect.Message, r *rand.Rand) protoreflect.FullName {
	slots := slotsOf(m, r)
	if len(slots) == 0 {
		return ""
	}
	s := slots[r.IntN(len(slots))]
	s.change()
	return s.field.FullName()
}

// slotsOf lists the values of a message, with those of the messages in it.
func slotsOf(m protoreflect.Message, r *rand.Rand) (out []slot) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
		case f.IsList():
			list := v.List()
			for i := range list.Len() {
				if f.Message() != nil {
					out = append(out, slotsOf(list.Get(i).Message(), r)...)
				} else if other, ok := another(f, list.Get(i), r); ok {
					out = append(out, slot{f, func() { list.Set(i, other) }})
				}
			}
		case f.Message() != nil:
			out = append(out, slotsOf(v.Message(), r)...)
		default:
			if other, ok := another(f, v, r); ok {
				out = append(out, slot{f, func() { m.Set(f, other) }})
			}
		}
		return true
	})
	return out
}

// another is a value that differs: one bit of bytes and numbers, one letter of a text.
func another(f protoreflect.FieldDescriptor, v protoreflect.Value, r *rand.Rand) (protoreflect.Value, bool) {
	switch f.Kind() {
	case protoreflect.BytesKind:
		b := append([]byte(nil), v.Bytes()...)
		if len(b) == 0 {
			return v, false
		}
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return protoreflect.ValueOfBytes(b), true
	case protoreflect.StringKind:
		b := []byte(v.String())
		if len(b) == 0 {
			return v, false
		}
		if i := r.IntN(len(b)); b[i] == 'a' {
			b[i] = 'b'
		} else {
			b[i] = 'a'
		}
		return protoreflect.ValueOfString(string(b)), true
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool()), true
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() ^ 1), true
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(v.Uint() ^ 1<<r.IntN(64)), true
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint()) ^ 1<<r.IntN(32)), true
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(v.Int() ^ 1<<r.IntN(64)), true
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(v.Int()) ^ 1<<r.IntN(32)), true
	default: // floats, groups: our messages have none
		return v, false
	}
}
