// Package describe says what entities are, from their models: as a table, as a diagram, as JSON, and as the SQL that a
// person would write in their place. It finds indexes that another one makes superfluous.
//
// The description is made once, in this file, and each form of it is printed by the file of its name. docs.go keeps one in a
// file of documentation.
package describe

import (
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// A Description is what a set of packages stores. Its JSON is stable: fields may be added, and what is there keeps its
// meaning.
type Description struct {
	Format   int       `json:"kixxDescription"` // 1
	Entities []*Entity `json:"entities"`        // sorted by package and name
}

// An Entity is a struct type whose values are documents.
type Entity struct {
	Name       string       `json:"name"`    // of the Go type: Item
	Package    string       `json:"package"` // its import path
	Stored     string       `json:"stored"`  // its name in the database: item
	Constraint string       `json:"constraint,omitempty"`
	Key        Key          `json:"key"`
	Revision   string       `json:"revision"`          // the Go field
	Created    string       `json:"created,omitempty"` // the Go field, as the next two
	Updated    string       `json:"updated,omitempty"`
	Deleted    string       `json:"deleted,omitempty"`
	Fields     []*Field     `json:"fields"` // in the order of the struct
	Dropped    []string     `json:"dropped,omitempty"`
	Indexes    []*Index     `json:"indexes"`
	Views      []*View      `json:"views"`
	Hooks      []string     `json:"hooks"`     // methods that the runtime calls
	Validated  bool         `json:"validated"` // there is a validate tag on a field or inside of one
	Migrations []*Migration `json:"migrations,omitempty"`
	Peek       bool         `json:"peek,omitempty"` // documents can be read without a copy
}

// A Key is what documents are found by.
type Key struct {
	Type    string        `json:"type"` // as in Go
	Fields  []*IndexField `json:"fields"`
	Auto    bool          `json:"auto,omitempty"` // Insert makes it
	Methods []string      `json:"methods"`
}

// A Field is a stored field, of an entity or of a struct inside of it.
type Field struct {
	Name     string   `json:"name"`   // as in Go, with the embedded structs it comes from: Base.ID
	Stored   string   `json:"stored"` // in the document
	Type     string   `json:"type"`   // as it is stored, and as kixx.schema.json has it
	GoType   string   `json:"goType"`
	Validate string   `json:"validate,omitempty"`
	Merge    string   `json:"merge,omitempty"`
	Was      []string `json:"was,omitempty"`
	Default  string   `json:"default,omitempty"`
	Fields   []*Field `json:"fields,omitempty"` // of the struct that it is, or that its elements are; not where that is inside of itself

	is    *templates.Type
	inner string // name of the struct that has Fields
}

// An Index finds documents by the values of fields, in their order and then in that of the keys.
type Index struct {
	Name        string        `json:"name"`
	Unique      bool          `json:"unique,omitempty"`
	Fields      []*IndexField `json:"fields"`
	Methods     []string      `json:"methods"`
	Superfluous *Superfluous  `json:"superfluous,omitempty"`
}

// An IndexField is a field of an index or of a key.
type IndexField struct {
	Name       string `json:"name"`
	Stored     string `json:"stored"`
	GoType     string `json:"goType"` // of the method's parameter
	Descending bool   `json:"descending,omitempty"`
	Each       bool   `json:"each,omitempty"`     // a slice: one entry for each element
	Optional   bool   `json:"optional,omitempty"` // nil makes no entry

	param string
	is    *templates.Type
}

// Superfluous says that another index, or the key, finds the same documents.
type Superfluous struct {
	By  string `json:"by"` // name of the index; "key" for the key
	Why string `json:"why"`
}

// A View is made by a function.
type View struct {
	Name    string   `json:"name"`
	Func    string   `json:"func"`
	Key     string   `json:"key"`   // its type, as in Go
	Value   string   `json:"value"` // its type, as in Go
	Methods []string `json:"methods"`

	key, value *templates.Type
}

// A Migration brings documents to a level.
type Migration struct {
	Level int    `json:"level"`
	Func  string `json:"func"`
}

// New returns the description of the entities of the models.
func New(models []*templates.Package) *Description {
	d := &Description{Format: 1, Entities: []*Entity{}}
	for _, p := range models {
		for _, e := range p.Entities {
			d.Entities = append(d.Entities, entity(p, e))
		}
	}
	slices.SortStableFunc(d.Entities, func(a, b *Entity) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Name, b.Name))
	})
	return d
}

// Only returns the description of the entities with these names; all of them if there are no names. missing is a name that
// none has, or empty.
func (d *Description) Only(names ...string) (only *Description, missing string) {
	if len(names) == 0 {
		return d, ""
	}
	only = &Description{Format: d.Format, Entities: []*Entity{}}
	for _, name := range names {
		if !slices.ContainsFunc(d.Entities, func(e *Entity) bool { return e.Name == name }) {
			return nil, name
		}
	}
	for _, e := range d.Entities {
		if slices.Contains(names, e.Name) {
			only.Entities = append(only.Entities, e)
		}
	}
	return only, ""
}

// Names returns the names of the entities.
func (d *Description) Names() []string {
	var names []string
	for _, e := range d.Entities {
		names = append(names, e.Name)
	}
	return names
}

// JSON writes the description as JSON.
func (d *Description) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

// entity describes e, which is in p.
func entity(p *templates.Package, e *templates.Entity) *Entity {
	t := typer{p}
	d := &Entity{
		Name: e.Name, Package: p.Path, Stored: e.Collection, Constraint: e.Constraint,
		Revision: path(e.Rev), Created: path(e.Created), Updated: path(e.Updated), Deleted: path(e.Deleted),
		Fields: t.fields(e.Struct, nil), Dropped: e.Struct.Dropped,
		Indexes: []*Index{}, Views: []*View{}, Hooks: []string{}, Validated: e.Tagged || e.Hooks.Validate, Peek: e.Peek != "",
	}
	d.Key = Key{Type: e.KeyType, Fields: t.indexFields(e.Keys), Auto: e.Auto}
	if d.Key.Type == "" {
		d.Key.Type = t.text(e.Keys[0].Field.Type)
	}
	if len(e.Keys) == 1 {
		d.Key.Methods = []string{"Get(" + param(d.Key.Fields[0]) + ")", "RangeByKey()"}
	} else {
		d.Key.Methods = []string{"Get(key " + e.KeyType + ")", "RangeByKey(" + params(d.Key.Fields[:len(d.Key.Fields)-1]) + ")"}
	}
	for _, ix := range e.Indexes {
		fields := t.indexFields(ix.Fields)
		equal := "QueryBy"
		if ix.Unique {
			equal = "GetBy"
		}
		d.Indexes = append(d.Indexes, &Index{Name: ix.Name, Unique: ix.Unique, Fields: fields, Methods: []string{
			equal + ix.Name + "(" + params(fields) + ")", "RangeBy" + ix.Name + "(" + params(fields[:len(fields)-1]) + ")",
		}})
	}
	for _, v := range e.Views {
		key := t.text(v.Key)
		d.Views = append(d.Views, &View{
			Name: v.Name, Func: v.Func, Key: key, Value: t.text(v.Value), key: v.Key, value: v.Value,
			Methods: []string{"QueryBy" + v.Query + "(key " + key + ")", "RangeBy" + v.Query + "()"},
		})
	}
	for _, hook := range []struct {
		name string
		has  bool
	}{{"BeforeSet", e.Hooks.BeforeSet}, {"Validate", e.Hooks.Validate}, {"AfterSet", e.Hooks.AfterSet}, {"BeforeDelete", e.Hooks.BeforeDelete}} {
		if hook.has {
			d.Hooks = append(d.Hooks, hook.name)
		}
	}
	for _, m := range e.Migrations {
		d.Migrations = append(d.Migrations, &Migration{m.Level, m.Func})
	}
	superfluous(d)
	return d
}

// path returns the Go name of a field with those of the embedded structs it comes from, or "" for none.
func path(f *templates.Field) string {
	if f == nil {
		return ""
	}
	return strings.Join(f.Path, ".")
}

// param returns a parameter of a method: price float64.
func param(f *IndexField) string { return f.param + " " + f.GoType }

// params returns the parameters of a method.
func params(fields []*IndexField) string {
	var list []string
	for _, f := range fields {
		list = append(list, param(f))
	}
	return strings.Join(list, ", ")
}
