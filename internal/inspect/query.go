package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/internal/hint"
	kixx "github.com/kixxgen/kixxgen/runtime"
)

// An Entry is what a query of a view finds.
type Entry struct {
	Key, Value []byte // as JSON
	ID         Key
}

// newView returns the view of an index. Its keys are handed on as they are encoded.
func (ix *index) newView(e *Entity) *kixx.View[*Entry, *Doc, string] {
	if ix.fields == nil {
		return &kixx.View[*Entry, *Doc, string]{Index: ix.Index}
	}
	key := ix.fields[0].component
	readKey := func(b []byte) (string, []byte, error) {
		_, rest, err := key.stored(nil, b)
		return string(b[:len(b)-len(rest)]), rest, err
	}
	return &kixx.View[*Entry, *Doc, string]{
		Index:   ix.Index,
		ReadKey: readKey,
		Read: func(tuple, value []byte, _ *Doc) (entry *Entry, err error) {
			entry = new(Entry)
			k, rest, err := key.stored(nil, tuple)
			if err != nil {
				return nil, err
			}
			if entry.Key, _, err = key.typ.appendJSON(nil, k, 0); err != nil {
				return nil, err
			}
			if entry.ID, _, err = e.readKey(rest); err != nil {
				return nil, err
			}
			entry.Value, _, err = ix.value.appendJSON(nil, value, 0)
			return entry, err
		},
	}
}

// AppendLine appends an entry of a view to j: {"key":…,"id":…,"value":…}.
func (e *Entry) AppendLine(j []byte) ([]byte, error) {
	j, err := e.ID.appendJSON(append(append(append(j, `{"key":`...), e.Key...), `,"id":`...))
	if err != nil {
		return nil, err
	}
	return append(append(append(j, `,"value":`...), e.Value...), '}'), nil
}

// A Query says what to read of an index.
type Query struct {
	Entity  string
	Index   string   // or view; "" or "key" for the order of keys
	Values  []string // of its leading fields
	From    string   // of the field behind them, also From itself; "" for its beginning
	To      string   // also To itself; "" for its end
	Reverse bool
	Limit   int
	After   string // a cursor
	Deleted bool   // documents that are marked as deleted as well
}

// A Page is what a query finds: documents, or entries of a view.
type Page struct {
	Docs    []*Doc
	Entries []*Entry
	View    bool
	Next    string // the cursor of the next page, "" if there is none
}

// Get returns the document with a key.
func (d *Database) Get(ctx context.Context, entity, key string, deleted bool) (*Doc, error) {
	e, err := d.read(ctx, entity, deleted)
	if err != nil {
		return nil, err
	}
	k, err := e.ParseKey(key)
	if err != nil {
		return nil, askedError{err}
	}
	doc, err := e.repo.Get(ctx, k)
	var missing *kixx.KeyError
	if errors.As(err, &missing) && missing.Deleted {
		err = fmt.Errorf("%w; --deleted shows it", err)
	}
	return doc, err
}

// Query runs a query.
func (d *Database) Query(ctx context.Context, q Query) (*Page, error) {
	e, err := d.read(ctx, q.Entity, q.Deleted)
	if err != nil {
		return nil, err
	}
	ix, fields, err := e.index(q.Index)
	if err != nil {
		return nil, err
	}
	if len(q.Values) > len(fields) {
		return nil, asked("%d values for the index %s of %s, which has %d fields: %s", len(q.Values), q.Index, q.Entity, len(fields), fieldNames(fields))
	}
	if (q.From != "" || q.To != "") && len(q.Values) != len(fields)-1 {
		return nil, asked("--from and --to are about the last field of the index; it takes %d values before: %s", len(fields)-1, fieldNames(fields[:len(fields)-1]))
	}
	var lead []byte
	for i, text := range q.Values {
		if lead, err = fields[i].parse(lead, text); err != nil {
			return nil, asked("%s: %w", fields[i].name, err)
		}
	}
	bound := func(text string) (*string, error) {
		if text == "" {
			return nil, nil
		}
		f := fields[len(fields)-1]
		b, err := f.parse(nil, text)
		if err != nil {
			return nil, asked("%s: %w", f.name, err)
		}
		s := string(b)
		return &s, nil
	}
	lo, err := bound(q.From)
	if err != nil {
		return nil, err
	}
	hi, err := bound(q.To)
	if err != nil {
		return nil, err
	}
	appendV := func(b []byte, v string) []byte { return append(b, v...) }
	if ix != nil && ix.View {
		query := kixx.ViewQuery(&e.repo.Repo, ix.view, lead)
		if len(q.Values) == 0 {
			query = kixx.ViewRange(&e.repo.Repo, ix.view, appendV).Within(lo, hi)
		}
		page, err := readPage(ctx, query, &q)
		return &Page{Entries: page.Items, View: true, Next: string(page.Next)}, err
	}
	var r *kixx.Range[*Doc, Key, string]
	if ix == nil {
		r = kixx.KeyRange(&e.repo.Repo, lead, appendV)
	} else {
		r = kixx.IndexRange(&e.repo.Repo, &ix.Index, lead, appendV)
	}
	page, err := readPage(ctx, r.Within(lo, hi), &q)
	return &Page{Docs: page.Items, Next: string(page.Next)}, err
}

func readPage[E any](ctx context.Context, query kixx.Query[E, Key], q *Query) (kixx.Page[E], error) {
	if q.Reverse {
		query = query.Reverse()
	}
	page, err := query.Limit(q.Limit).After(kixx.Cursor(q.After)).Page(ctx)
	if errors.Is(err, kixx.ErrBadCursor) {
		err = askedError{err}
	}
	return page, err
}

// index returns the index of a name with its fields; nil is the order of the keys.
func (e *Entity) index(name string) (*index, []indexField, error) {
	if name == "" || name == "key" {
		var fields []indexField
		for _, k := range e.keys {
			fields = append(fields, indexField{name: k.name, component: k.component})
		}
		return nil, fields, nil
	}
	names := []string{"key"}
	var found *index
	for _, ix := range e.indexes {
		switch {
		case ix.Name == name && (found == nil || ix.state == "ready"):
			found = ix
		case !slices.Contains(names, ix.Name):
			names = append(names, ix.Name)
		}
	}
	switch {
	case found == nil && slices.Contains(names, "By"+name):
		return e.index("By" + name)
	case found == nil:
		return nil, nil, asked("%s has no index %q%s", e.Name, name, hint.Nearest(name, names...))
	case found.state != "ready":
		return nil, nil, fmt.Errorf("the index %s of %s is %s; it is ready once the application has built it", name, e.Name, found.state)
	case found.fields == nil:
		return nil, nil, fmt.Errorf("the index %s of %s cannot be read: %w", name, e.Name, found.bad)
	}
	return found, found.fields, nil
}

func fieldNames(fields []indexField) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// Columns returns the names of the fields of the documents.
func (e *Entity) Columns() (names []string) {
	for _, f := range e.doc.fields {
		if f.typ.kind != droppedKind {
			names = append(names, f.name)
		}
	}
	return names
}

// Cells returns the values of the fields of a document for people, in the order of [Entity.Columns]: text as it is, the
// rest as JSON.
func (d *Doc) Cells() (cells []string, err error) {
	raw := make(map[string][]byte)
	if _, err := eachField(d.body, func(name string, value []byte) { raw[name] = value }); err != nil {
		return nil, err
	}
	types := d.types()
	for _, name := range d.of.Columns() {
		t := types.field(name)
		value, ok := raw[name]
		if !ok || t == nil {
			cells = append(cells, "")
			continue
		}
		j, _, err := t.appendJSON(nil, value, 0)
		if err != nil {
			return nil, fmt.Errorf("%s %s: field %s: %w", d.of.Name, d.key, name, err)
		}
		cells = append(cells, plainText(j))
	}
	return cells, nil
}

// Key returns the key of a document.
func (d *Doc) Key() Key { return d.key }

// Entity returns the entity of a document.
func (d *Doc) Entity() *Entity { return d.of }

// Cells returns key, id and value of an entry for people.
func (e *Entry) Cells() []string {
	return []string{plainText(e.Key), e.ID.String(), plainText(e.Value)}
}
