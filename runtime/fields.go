package kixx

import (
	"fmt"
	"slices"
	"time"

	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// Fields is a raw document: what a //kixx:migrate function changes. Its fields have stored names, and JSON-like values:
//
//	nil, bool, int64, uint64 (what int64 cannot hold), float64, string, []byte, time.Time, []any, map[string]any
//
// The key is among them and must stay; the revision is not. Fields are as the document has them, whether the present
// struct knows them or not; one that was renamed answers to its old names too. A value that comes back may be changed,
// and counts when it is set again.
type Fields struct {
	list  []rawField
	alias map[string]string // from old names to those of today
	err   error             // of the first Set that failed
}

// A rawField is a field with its value as it is stored.
type rawField struct {
	name  string
	value []byte
}

// Names returns the names of the fields, in the order in which they are stored.
func (f *Fields) Names() []string {
	names := make([]string, len(f.list))
	for i := range f.list {
		names[i] = f.list[i].name
	}
	return names
}

// Has reports whether the document has the field.
func (f *Fields) Has(name string) bool { return f.has(f.today(name)) }

// Get returns the value of a field, nil if the document does not have it.
func (f *Fields) Get(name string) any {
	i := f.find(f.today(name))
	if i < 0 {
		return nil
	}
	v, _, err := gen.ReadAny(f.list[i].value)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("field %s cannot be read: %w", name, err)
	}
	return v
}

// Set sets a field. Beside the values that Get returns it takes all kinds of numbers, []string, and [time.Duration] as a
// number. A value of another type lets the migration of the document fail.
func (f *Fields) Set(name string, v any) {
	name = f.today(name)
	value, err := appendAny(v)
	if err != nil {
		if f.err == nil {
			f.err = fmt.Errorf("field %s: %w", name, err)
		}
		return
	}
	if i := f.find(name); i >= 0 {
		f.list[i].value = value
		return
	}
	f.list = append(f.list, rawField{name, value})
}

// Rename gives the value of a field another name, in the place of the value that is there. Without the field nothing
// happens.
func (f *Fields) Rename(from, to string) {
	from, to = f.today(from), f.today(to)
	if from == to || !f.has(from) {
		return
	}
	f.remove(to)
	f.list[f.find(from)].name = to
}

// Delete removes a field, if it is there.
func (f *Fields) Delete(name string) { f.remove(f.today(name)) }

// today returns the present name of a field.
func (f *Fields) today(name string) string {
	if now, ok := f.alias[name]; ok && !f.has(name) {
		return now
	}
	return name
}

func (f *Fields) has(name string) bool { return f.find(name) >= 0 }

func (f *Fields) find(name string) int {
	return slices.IndexFunc(f.list, func(r rawField) bool { return r.name == name })
}

// raw returns the value of a field as it is stored, nil if it is not there.
func (f *Fields) raw(name string) []byte {
	if i := f.find(name); i >= 0 {
		return f.list[i].value
	}
	return nil
}

func (f *Fields) remove(name string) {
	f.list = slices.DeleteFunc(f.list, func(r rawField) bool { return r.name == name })
}

// migrate calls the function of a migration. A panic in it is an error: one bad document must not stop the others.
func (f *Fields) migrate(m Migration) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("migrate to level %d: panic: %v", m.Level, p)
		}
	}()
	if err := m.Func(f); err != nil {
		return fmt.Errorf("migrate to level %d: %w", m.Level, err)
	}
	if f.err != nil {
		return fmt.Errorf("migrate to level %d: %w", m.Level, f.err)
	}
	return nil
}

// parseFields reads the fields of a body.
func parseFields(body []byte) (*Fields, error) {
	f := new(Fields)
	rest, err := gen.ReadFields(body, func(name, b []byte) ([]byte, error) {
		rest, err := msgp.Skip(b)
		if err != nil {
			return nil, err
		}
		f.list = append(f.list, rawField{string(name), b[:len(b)-len(rest)]})
		return rest, nil
	})
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow the document", len(rest))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be read: %w", ErrCorrupt, err)
	}
	return f, nil
}

// append appends the fields as a body.
func (f *Fields) append(b []byte) []byte {
	b = msgp.AppendMapHeader(b, uint32(len(f.list)))
	for _, r := range f.list {
		b = append(msgp.AppendString(b, r.name), r.value...)
	}
	return b
}

// appendAny returns a value as documents have it.
func appendAny(v any) (b []byte, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *gen.RefusedError:
			err = p
		default:
			panic(p)
		}
	}()
	if d, ok := v.(time.Duration); ok {
		v = int64(d)
	}
	return gen.AppendAny(nil, v), nil
}
