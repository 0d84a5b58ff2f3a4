package inspect

import (
	"context"
	"fmt"
	"iter"
	"slices"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Dump yields all documents of the entities with the names, those that are marked as deleted if deleted says so, as they
// were at one moment, in the order of their keys.
func (d *Database) Dump(ctx context.Context, names []string, deleted bool) iter.Seq2[*Doc, error] {
	return func(yield func(*Doc, error) bool) {
		var open []*openEntity
		for _, name := range names {
			e, err := d.read(ctx, name, deleted)
			if err != nil {
				yield(nil, err)
				return
			}
			open = append(open, e)
		}
		stopped := false
		err := d.db.Snapshot(ctx, func(ctx context.Context, s *kixx.Snapshot) error {
			for _, e := range open {
				in := kixx.BindSoft(e.repo, s)
				for doc, err := range in.Query().All(ctx) {
					if err != nil {
						return err
					}
					if !yield(doc, nil) {
						stopped = true
						return nil
					}
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// types returns the type of a document. One that lacks migrations has the types of its own schema, and the names of today
// for what the schema says to be the same.
func (d *Doc) types() *typ {
	older := d.of.older[d.level]
	if !d.behind || older == nil {
		return d.of.doc
	}
	t := &typ{kind: structKind, text: d.of.doc.text, fields: slices.Clone(older.fields)}
	for _, f := range d.of.doc.fields {
		if older.field(f.name) == nil {
			t.fields = append(t.fields, f)
		}
	}
	return t
}

// AppendDoc appends the fields of a document to j, as a JSON object.
func (d *Doc) AppendDoc(j []byte) ([]byte, error) {
	j, _, err := d.types().appendStruct(j, d.body, 0)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", d.of.Name, d.key, err)
	}
	return j, nil
}

// AppendLine appends a document to j with all that [Database.Load] takes:
//
//	{"entity":"item","key":"item:1","rev":"3-9f86d081","doc":{…}}
//
// A key of several fields is a list. One that lacks migrations, which only its application has, has the "level" at which it
// was written.
func (d *Doc) AppendLine(j []byte) ([]byte, error) {
	j = append(quote(append(j, `{"entity":`...), d.of.Name), `,"key":`...)
	j, err := d.key.appendJSON(j)
	if err != nil {
		return nil, err
	}
	etag := d.Rev.ETag()
	j = append(append(append(j, `,"rev":`...), etag...), ',')
	if d.behind {
		j = fmt.Appendf(j, `"level":%d,`, d.level)
	}
	if j, err = d.AppendDoc(append(j, `"doc":`...)); err != nil {
		return nil, err
	}
	return append(j, '}'), nil
}

// appendJSON appends a key to j.
func (k Key) appendJSON(j []byte) ([]byte, error) {
	rest := []byte(k.tuple)
	several := len(k.of.keys) > 1
	if several {
		j = append(j, '[')
	}
	for i, part := range k.of.keys {
		value, more, err := part.stored(nil, rest)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			j = append(j, ',')
		}
		if j, _, err = part.typ.appendJSON(j, value, 0); err != nil {
			return nil, err
		}
		rest = more
	}
	if several {
		j = append(j, ']')
	}
	return j, nil
}
