package kixx

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Every key begins with a header:
//
//	format  namespace   collection   index and half   tuple
//	1 byte  8 bytes     2 bytes      2 bytes          …
//
// The namespace is the start of the SHA-256 of its name. Collection 0 is the catalogue. Index 0 of a collection holds its
// documents, the others its index and view entries. The lowest bit of the index field is the half: 0 for what is live,
// 1 for what is marked as deleted. All numbers are big-endian, so that keys sort by them. The tuple is made by package
// ordered: of a document its key; of an index entry the indexed values and then, unless the index is unique, the
// document's key; of a view entry the emitted key, the document's key and an ordinal of one byte.
const (
	keyFormat    = 1
	headerLen    = 13
	indexAt      = 11        // where the index begins in a header
	maxNumber    = 1<<16 - 1 // of collections
	maxIndex     = 1<<15 - 1
	catalogueNum = 0
)

type header [headerLen]byte

// namespaceID returns what stands for a namespace in keys.
func namespaceID(name string) (id [8]byte) {
	sum := sha256.Sum256([]byte(name))
	copy(id[:], sum[:])
	return id
}

// newHeader returns the header of the live half of an index.
func newHeader(namespace [8]byte, collection, index uint16) (h header) {
	h[0] = keyFormat
	copy(h[1:9], namespace[:])
	binary.BigEndian.PutUint16(h[9:], collection)
	binary.BigEndian.PutUint16(h[11:], index<<1)
	return h
}

// withIndex returns h for another index of its collection.
func (h header) withIndex(index uint16) header {
	binary.BigEndian.PutUint16(h[11:], index<<1)
	return h
}

// otherHalf returns the key that key has in the other half of its index.
func otherHalf(key []byte) []byte {
	other := append([]byte(nil), key...)
	other[headerLen-1] ^= 1
	return other
}

// indexOf returns the number of the index that key is in.
func indexOf(key []byte) uint16 { return binary.BigEndian.Uint16(key[11:]) >> 1 }

// isDocument reports whether key is that of a document, and not of an entry or in the catalogue.
func isDocument(key []byte) bool {
	return len(key) > headerLen && key[11] == 0 && key[12]>>1 == 0 && (key[9] != 0 || key[10] != 0)
}

// isCatalogue reports whether key is in the catalogue of a namespace.
func isCatalogue(key []byte) bool {
	return len(key) > headerLen && key[9] == 0 && key[10] == 0
}

// A keyBuffer is where a key is made that is only looked up. A buffer on the stack would not stay there: the functions
// that append to it are values.
type keyBuffer struct {
	b       []byte
	lookups uint32 // that were made with it, see [cache.lookedUp]
}

func newKeyBuffer() any { return &keyBuffer{b: make([]byte, 0, 128)} }

// hasKey reports whether the key of d is key, which may be a time of any location.
func (r *Repo[D, K]) hasKey(d D, key K) bool {
	if r.schema.CanonKey != nil {
		key, _ = r.schema.CanonKey(key)
	}
	return r.schema.Key(d) == key
}

// refuseKey says why a document cannot be written with this key, or "". tuple is the key as it is encoded. A key that is
// text, or several texts, and all of them empty, is nearly always one that was forgotten; the zero values of other types
// are as good as any.
func (r *Repo[D, K]) refuseKey(key K, tuple []byte) string {
	if r.schema.CanonKey != nil {
		if _, err := r.schema.CanonKey(key); err != nil {
			return err.Error()
		}
	}
	var zero K
	if key == zero && len(bytes.ReplaceAll(tuple, emptyText, nil)) == 0 {
		return "the key is empty"
	}
	return ""
}

// emptyText is the encoding of an empty text. The zero of no other type has a byte 01 in it.
var emptyText = []byte{0, 1}

// showKey prints a key for people: text is quoted, a type with a method String or MarshalText prints itself, and a key of
// several fields is printed as "acme"/"hello".
func showKey(key any) string {
	v := reflect.ValueOf(key)
	switch key := key.(type) {
	case nil:
		return "without a key"
	case time.Time:
		return key.Format(time.RFC3339Nano)
	case fmt.Stringer:
		if v.Kind() == reflect.String {
			return fmt.Sprintf("%q", key)
		}
		return fmt.Sprint(key)
	case encoding.TextMarshaler:
		if text, err := key.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch {
	case v.Kind() == reflect.String:
		return fmt.Sprintf("%q", key)
	case v.Kind() == reflect.Struct:
		parts := make([]string, v.NumField())
		for i := range parts {
			parts[i] = showKey(v.Field(i).Interface())
		}
		return strings.Join(parts, "/")
	case v.CanConvert(reflect.TypeFor[[16]byte]()):
		id := v.Convert(reflect.TypeFor[[16]byte]()).Interface().([16]byte)
		return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	}
	return fmt.Sprint(key)
}
