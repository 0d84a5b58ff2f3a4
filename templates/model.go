// Package templates turns the model of a package into Go source: the model in this file, and one file for each artifact
// that is emitted. An emitter decides nothing; the model is complete, with names, imports and clashes resolved, before
// anything is emitted. The loader of cmd/kixxgen builds it.
package templates

// A Package is one Go package with entities.
type Package struct {
	Path     string    // import path
	Name     string    // as in its package clause
	Entities []*Entity // sorted by name

	// Names maps the import path of every package that the generated code may mention to its package name.
	Names map[string]string

	// Aliases maps an import path to the name that generated code must import it under, where the package's own name is
	// declared in the package that is generated for, or stands for two imports. Most packages have none.
	Aliases map[string]string
}

// An Entity is a struct type that is stored as documents. Its struct is inside no other one.
type Entity struct {
	Name       string // of the Go type: Item
	Var        string // the name of a document in generated code: it. Clashes with no field, import or package name
	Plural     string // in comments: items
	Collection string // name in the database: item
	Struct     *Struct

	// Keys are the fields that form the key, in the order of the struct. If there are several, KeyType is the name of the
	// type that is generated for the key, PostKey; else it is empty.
	Keys    []*IndexField
	KeyType string
	Auto    bool // a key is made on Insert
	Rev     *Field
	Created *Field // nil: none
	Updated *Field // nil: none
	Deleted *Field // nil: none; a pointer to a time

	Peek string // the type that reads shared documents, ItemPeek; "": none

	Indexes    []*Index // in the order of the fields, then of the directives
	Views      []*View
	Migrations []*Migration // in the order of their levels, which are 1, 2, 3, …
	Hooks      Hooks
	Tagged     bool // there is a validate tag on the struct or inside

	File       string // base name of the file to write: item_kixx.go
	TestFile   string // base name of its test: item_kixx_test.go; "": none
	InTest     bool   // it is declared in a test file: File is one too, and has the test in it
	Constraint string // build constraint of the file that declares the entity, without "//go:build": "linux"; or ""
}

// Hooks are the methods that the runtime calls, as far as the entity has them.
type Hooks struct{ BeforeSet, Validate, AfterSet, BeforeDelete bool }

// An Index is declared by a field's tag or by a kixx:index directive.
type Index struct {
	Name   string // QueryBy<Name>: CategoryPrice
	Var    string // itemByCategoryPrice
	Fields []*IndexField
	Unique bool
	Of     string // its definition, for the fingerprint
}

// An IndexField is one field of an index.
type IndexField struct {
	Field *Field
	Key   *Type  // what is encoded: the element of a pointer or of a slice
	Param string // name of the parameter in generated methods: category
	Each  bool   // a slice: one entry for each element
	Deref bool   // a pointer (or a slice of pointers): nil makes no entry
	Desc  bool
}

// A View is declared by a kixx:view directive.
type View struct {
	Name  string // ByPriceRange
	Query string // QueryBy<Query>: PriceRange, the name without a leading By
	Type  string // of its entries: ItemByPriceRange
	Var   string // itemByPriceRange
	Func  string // emitPriceRange
	Key   *Type
	Value *Type
	Of    string // its definition, for the fingerprint
}

// A Migration is declared by a kixx:migrate directive.
type Migration struct {
	Level int
	Func  string // itemToV1
}

// A Kind says how a value is stored.
type Kind uint8

// The kinds of values. Duration is Int with a name.
const (
	Bool  Kind = iota + 1
	Int        // Bits: 8, 16, 32, 64, or 0 for int
	Uint       // Bits: 8, 16, 32, 64, or 0 for uint
	Float      // Bits: 32, 64
	String
	Bytes // a slice of bytes
	Raw   // encoding/json.RawMessage
	Time  // time.Time
	Slice
	Array
	Map
	Pointer
	StructKind
	UUID    // an array of 16 bytes
	Any     // an interface without methods
	Complex // Bits: 64, 128
	Text    // a type that is stored as what its MarshalText returns
	Binary  // the same with MarshalBinary
	JSON    // the same with MarshalJSON
)

// A Type is the type of a field, key or value.
type Type struct {
	Kind   Kind
	Bits   int
	Name   *Name // of a named type (also of time.Time, time.Duration, RawMessage); nil: the type literal
	Elem   *Type // Slice, Array, Map, Pointer
	Key    *Type // Map: String, Int, Uint or Bool kinds
	Len    int64 // Array
	Struct *Struct
	Go     *GoType // how a struct type without a name is written

	// Of Text, Binary, JSON: a copy by assignment shares memory; values that == says are equal are stored as the same.
	Shares, Compares bool
}

// A Name is a type's name with the import path of its package; the path is empty for the package that is generated for.
// Args are the type arguments of an instance of a generic type.
type Name struct {
	Path string
	Name string
	Args []*GoType
}

// A Struct is a struct type that is stored, with codec functions of its own in each package that stores it.
type Struct struct {
	Type    *Type    // the type it is
	Func    string   // what its functions are named after: appendDims, readDims, cloneDims, canonDims
	Fields  []*Field // stored ones, in the order of the struct, embedded ones in place; without the rev of an entity
	Partial bool     // it also has fields that are not stored
	Dropped []string // stored names of fields that are not kept: they are skipped when they are read
	Carries bool     // it embeds kixx.Unknown and carries its own unknown fields

	Embeds []*Struct // structs whose fields it has by embedding them: their names and literals, for the guards

	// Literal lists all fields of the struct as declared, for the guard that makes stale code fail to compile; nil if
	// the guard cannot be written (a type of another package with unexported fields, an unnameable field type).
	Literal []LiteralField
}

// A LiteralField is a field of a struct literal type. The name of an embedded field is empty.
type LiteralField struct {
	Name string
	Type *GoType
}

// A GoType is any Go type as it is written in source, with its packages resolved.
type GoType struct {
	Full string // with import paths in the place of package names, as go/types writes it

	// Parts are pieces of source text; a piece with a Path is a name of that package.
	Parts []Name
}

// A Field is a stored field.
type Field struct {
	Path   []string // Go selectors from the struct: ["ID"], or ["Base", "ID"] for a promoted one
	Stored string   // name in the document
	Type   *Type
	Lines  string // its type as kixx.schema.json has it: "[]string"

	// Options are the options of its line in kixx.schema.json: "", "key", "key,auto", "key:2" for the second field of a key
	// of several, "created", "updated", "deleted".
	Options string

	// Merge says what Merge makes of a value that was changed on both sides: "ours", "theirs", "max", "min", "sum", "union".
	// "" is nothing: the field is reported, or a struct is merged field by field.
	Merge   string
	Was     []string // stored names that it had before, the latest first
	Default string   // what documents have where their writer did not know the field, as text; "": the zero value

	Validate string // its validate tag: "required,max=200"
}

// GoName returns the field's own Go name.
func (f *Field) GoName() string { return f.Path[len(f.Path)-1] }
