// Package gen holds what the code that kixxgen writes calls to turn documents into bytes and back, to copy them and to
// make them canonical. It is not meant to be called by hand; nothing in it knows a database.
//
// A document is a MessagePack map: the fields of the struct by name, in the order of the struct, then the fields that the
// struct does not have, as they came ([Unknown]). Keys of Go maps are sorted, times are the standard timestamp extension,
// and nil is kept apart from empty. Equal documents are equal bytes.
//
// # Reading
//
// The Read functions take bytes and return a value with the bytes that come after it. They are lenient where nothing is
// lost: an integer is read as a float and a float as an integer if it is exactly one, text as bytes and bytes as text,
// and nil as the zero value. Everything else is an error, which names the field ([FieldError]). After an error the value
// and the rest mean nothing.
//
// The bytes may come from anywhere. No input makes a Read function panic or recurse deeper than [MaxDepth] structs. A length
// is held against the bytes that are left, at least one for each element, before room is made for it, so that what is
// allocated stays within a small multiple of the input and of the elements that are there. Strings and bytes are copies;
// nothing that was read keeps the input alive.
//
// # Appending
//
// The Append functions append an encoded value to b and return the extended slice, as the functions of package msgp do.
package gen

import "errors"

// MaxDepth is how many structs of a type that contains itself may be inside one another in a document.
const MaxDepth = 1000

// ErrDepth says that structs are nested deeper than [MaxDepth]: a document that contains itself through a pointer, or
// hostile bytes. Reading returns it. Functions that copy or append a document have no error to return and panic with
// this very value, which is for their caller to recover; without it a document with a cycle would exhaust the stack,
// which nobody can recover from.
var ErrDepth = errors.New("the document nests structs deeper than 1000, or contains itself through a pointer")

// Down returns depth-1, the depth that is left for the structs inside. At 0 it panics with [ErrDepth].
func Down(depth int) int {
	if depth == 0 {
		panic(ErrDepth)
	}
	return depth - 1
}
