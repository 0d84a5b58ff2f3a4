package kixx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	"github.com/kixxgen/kixxgen/runtime/gen"
)

// GeneratedV1 is mentioned by every generated file. A file made for another version of the runtime does not compile, and
// the name that is missing says why: run kixxgen again.
const GeneratedV1 = 1

// Unknown holds the fields of a stored document that the present struct does not have. A struct that embeds it, as the
// element of a slice or map may, carries such fields itself; documents and structs inside them need not.
type Unknown = gen.Unknown

// A Schema is what generated code tells the runtime about an entity. D is a pointer to its struct, K the type of its key.
type Schema[D any, K comparable] struct {
	Name    string // of the collection
	Fields  []Field
	Indexes []*Index    // views too
	Migrate []Migration // in the order of their levels
	Tagged  bool        // a validate tag is on the struct or inside it
	Partial bool        // some of its fields, or of fields inside, are not stored

	New       func() D
	Key       func(D) K
	SetKey    func(D, K)
	NewKey    func(id string) K  // nil: keys are the application's
	CanonKey  func(K) (K, error) // makes a key what it will be when it is read back; nil: it is already
	AppendKey func([]byte, K) []byte
	ReadKey   func([]byte) (K, []byte, error)
	Meta      func(D) Meta

	Append func([]byte, D, *gen.Unknown) []byte
	Read   func(D, []byte, *gen.Unknown) ([]byte, error)
	Clone  func(D) D // deep; fields that are not stored are zero in the clone
	Canon  func(D)   // makes it equal to what will be read back; nil: it is already
	Index  func(D, *Entries)

	BeforeSet    func(D, context.Context) error
	Validate     func(D) error
	AfterSet     func(D, context.Context)
	BeforeDelete func(D, context.Context) error
}

// code returns what the application runs on documents that it writes, in its order.
func (s *Schema[D, K]) code() (code []string) {
	add := func(is bool, what string) {
		if is {
			code = append(code, what)
		}
	}
	add(s.BeforeSet != nil, "BeforeSet")
	add(s.Tagged, "validate tags")
	add(s.Validate != nil, "Validate")
	add(s.AfterSet != nil, "AfterSet")
	return code
}

// A Field is one stored field of a schema.
type Field struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"` // "drop": documents may have it from before, and lose it when they are written again
	Options string   `json:"options,omitempty"`
	Was     []string `json:"was,omitempty"`     // its names before, the latest first
	Default string   `json:"default,omitempty"` // what documents have where their writer did not know the field
}

// A Migration brings a raw document to a level: the documents of earlier schemas go through the migrations that they lack.
type Migration struct {
	Level int
	Func  func(*Fields) error
}

// Meta points to the fields of a document that the runtime sets. Created, Updated and Deleted may be nil.
type Meta struct {
	Rev     *Rev
	Created *time.Time
	Updated *time.Time
	Deleted **time.Time
}

// An Index describes an index or a view. It has no number: the catalogue of a database gives it one.
type Index struct {
	Name   string
	Of     string // its definition: if it changes, the index is built anew
	Unique bool
	Desc   bool // its last field is in descending order
	Each   bool // a slice: one entry for each element
	View   bool

	keys bool // its entries are the keys of the documents themselves, see keyIndex
}

// fingerprint stands for the definition of an index: two with the same one have the same entries.
func (ix *Index) fingerprint() string {
	h := sha256.New()
	io.WriteString(h, ix.Name+"\x00"+ix.Of+"\x00")
	for _, flag := range []bool{ix.Unique, ix.Desc, ix.Each, ix.View} {
		if flag {
			h.Write([]byte{1})
		} else {
			h.Write([]byte{0})
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// A View is an index whose entries are emitted by a function. E is a pointer to the type of its entries, VK the type of
// the emitted keys.
type View[E, D any, VK any] struct {
	Index   Index
	ReadKey func([]byte) (VK, []byte, error)
	Read    func(tuple, value []byte, doc D) (E, error)
}

// An Entry is what a query of a view finds. Generated code defines a type with a name of its own for each view.
type Entry[D any, K comparable, VK, VV any] struct {
	Key   VK // as emitted
	Value VV // as emitted
	ID    K  // key of the document that it was emitted for
	Doc   D  // the document, if the query asked WithDocs
}

// ReadEntry reads the entry of a view for generated code: tuple is its key without the header.
func ReadEntry[D any, K comparable, VK, VV any](e *Entry[D, K, VK, VV], tuple, value []byte, readKey func([]byte) (VK, []byte, error), readID func([]byte) (K, []byte, error), readValue func([]byte) (VV, []byte, error)) (err error) {
	if e.Key, tuple, err = readKey(tuple); err != nil {
		return err
	}
	if e.ID, _, err = readID(tuple); err != nil {
		return err
	}
	e.Value, _, err = readValue(value)
	return err
}

// Emit adds an entry to a view. The function of a view is called with it; it may call it any number of times while it
// runs, up to 256 times with one key. It must not change the document, and depend on nothing but the document.
type Emit[K, V any] func(key K, value V)

// What the runtime calls on a document that has it. The generator finds these methods on the pointer type, and refuses
// one with another signature.
type (
	// A BeforeSetter is asked before each write, on a copy, and again on each retry. It may change the document, not
	// its revision. An error refuses the write and comes back inside an [InvalidError].
	BeforeSetter interface {
		BeforeSet(ctx context.Context) error
	}

	// A Validator is asked after the validator's tags. An error refuses the write and comes back inside an
	// [InvalidError].
	Validator interface{ Validate() error }

	// An AfterSetter is told once after the commit, on a copy. A crash may skip it. If it panics, the write stands and
	// the caller gets the panic as an error.
	AfterSetter interface{ AfterSet(ctx context.Context) }

	// A BeforeDeleter is asked before a deletion, on a copy. An error refuses it and comes back as it is.
	BeforeDeleter interface {
		BeforeDelete(ctx context.Context) error
	}
)
