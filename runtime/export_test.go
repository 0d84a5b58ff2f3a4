package kixx

import (
	"slices"

	"github.com/kixxgen/kixxgen/runtime/gen"
)

// ForgeCursor returns a cursor of q with a position of the caller's making, sealed as if q had made it.
func ForgeCursor[E any, K comparable](q Query[E, K], position []byte) Cursor {
	return q.p.newCursor(new(scan), position)
}

// DatabaseOf returns the database that a repository was opened with.
func DatabaseOf[D any, K comparable](r *Repo[D, K]) *DB { return r.col.db }

// SchemaOf returns the schema of a repository.
func SchemaOf[D any, K comparable](r *Repo[D, K]) *Schema[D, K] { return r.schema }

// Without returns a schema as it was before it had the field: documents of it are read and written without, and it has no
// indexes.
func Without[D any, K comparable](s *Schema[D, K], name string) *Schema[D, K] {
	old := *s
	old.Fields, old.Indexes, old.Index = nil, nil, nil
	for _, f := range s.Fields {
		if f.Name != name {
			old.Fields = append(old.Fields, f)
		}
	}
	old.Read = func(doc D, b []byte, u *gen.Unknown) ([]byte, error) {
		all, err := parseFields(b)
		if err != nil {
			return nil, err
		}
		carried := all.raw(name)
		all.remove(name)
		if _, err := s.Read(doc, all.append(nil), u); err != nil || carried == nil {
			return nil, err
		}
		_, err = u.Keep([]byte(name), carried)
		return nil, err
	}
	old.Append = func(b []byte, doc D, u *gen.Unknown) []byte {
		all, _ := parseFields(s.Append(nil, doc, nil))
		all.remove(name)
		if u != nil {
			kept, _ := parseFields(gen.AppendUnknown(gen.AppendHeader(nil, 0, u), u))
			all.list = append(all.list, kept.list...)
		}
		return all.append(b)
	}
	return &old
}

// MarkStale lets a repository believe that an index is stale.
func MarkStale[D any, K comparable](r *Repo[D, K], index string) {
	reg := r.col.reg.Load()
	stale := &registration{version: reg.version, header: reg.header, schema: reg.schema, schemas: reg.schemas, indexes: slices.Clone(reg.indexes)}
	for i, ix := range r.col.indexes {
		if ix.Name == index {
			stale.indexes[i].kept, stale.indexes[i].ready = false, false
		}
	}
	r.col.reg.Store(stale)
}
