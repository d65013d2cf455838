package browser

import (
	"bytes"
	"encoding/json"

	"github.com/certtrust/certtrust/store"
)

// object is a JSON object that keeps the order of its members, and what is in
// those that nobody looks at.
type object []member

type member struct {
	key   string
	value json.RawMessage
}

// parseObject reads an object; nothing at all is an empty one.
func parseObject(data []byte) (object, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	bad := func(err error) (object, error) {
		return nil, store.Because(store.ErrCorrupt, "it is not a JSON object: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	open, err := d.Token()
	if err != nil {
		return bad(err)
	}
	if open != json.Delim('{') {
		return nil, store.Because(store.ErrCorrupt, "it is not a JSON object")
	}
	var o object
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return bad(err)
		}
		var m member
		m.key, _ = key.(string)
		if err := d.Decode(&m.value); err != nil {
			return bad(err)
		}
		o = append(o, m)
	}
	if _, err := d.Token(); err != nil {
		return bad(err)
	}
	if d.More() {
		return nil, store.Because(store.ErrCorrupt, "something follows its JSON object")
	}
	return o, nil
}

// get returns the value of a key, nil if there is none.
func (o object) get(key string) json.RawMessage {
	for _, m := range o {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// with returns the object with another value of a key, or without it for nil.
func (o object) with(key string, value json.RawMessage) object {
	var out object
	found := false
	for _, m := range o {
		if m.key == key {
			found = true
			if value == nil {
				continue
			}
			m.value = value
		}
		out = append(out, m)
	}
	if !found && value != nil {
		out = append(out, member{key, value})
	}
	return out
}

func (o object) encode() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encodeJSON(m.key))
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

func encodeJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return json.RawMessage("null") // strings and lists of them always can be
	}
	return bytes.TrimSpace(b.Bytes())
}

// pretty writes an object for people.
func (o object) pretty() []byte {
	var b bytes.Buffer
	if json.Indent(&b, o.encode(), "", "  ") != nil {
		return o.encode()
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// in returns the object at a path of keys, nil if something else is there.
func (o object) in(keys ...string) object {
	for _, key := range keys {
		next, err := parseObject(o.get(key))
		if err != nil {
			return nil
		}
		o = next
	}
	return o
}

// set puts a value at a path of keys, or takes it out for nil, with the objects
// above it that are empty then.
func (o object) set(value json.RawMessage, keys ...string) (object, error) {
	if len(keys) == 1 {
		return o.with(keys[0], value), nil
	}
	below, err := parseObject(o.get(keys[0]))
	if err != nil {
		return nil, err
	}
	if below, err = below.set(value, keys[1:]...); err != nil {
		return nil, err
	}
	if len(below) == 0 {
		return o.with(keys[0], nil), nil
	}
	return o.with(keys[0], below.encode()), nil
}
