package gen

import "github.com/tinylib/msgp/msgp"

// An Unknown holds fields of a stored document that the present struct does not have, as they came, and by path those of
// the structs that are nested in it by value or pointer. They are written again with the document, so that an older
// program does not destroy what a newer one stored.
//
// The zero Unknown, and a nil *Unknown, hold nothing; reading into nil skips the fields. Once the reading function has
// returned, an Unknown never changes, and copies of it share what it holds. It is safe for concurrent use then.
//
// A struct that embeds an Unknown carries its own fields wherever it goes. They are written with values of its own type
// alone: an Unknown that was assigned to a struct of another type is left out there.
type Unknown struct {
	fields *unknownFields
}

type unknownFields struct {
	of    string // the struct that carries it; empty for one that is kept beside a document
	count int
	raw   []byte // names and values, encoded
	inner []innerUnknown
	first [1]innerUnknown // where inner begins: saves an allocation for most documents
}

// An innerUnknown has the fields of a nested struct. While a document is read, the last of a list may hold nothing.
type innerUnknown struct {
	name    string
	unknown Unknown
}

// Len returns the number of fields in u itself, without those of nested structs.
func (u *Unknown) Len() int {
	if u == nil || u.fields == nil {
		return 0
	}
	return u.fields.count
}

// Sub returns the unknown fields of the struct in the field name, or nil.
func (u *Unknown) Sub(name string) *Unknown {
	if u == nil || u.fields == nil {
		return nil
	}
	for i := range u.fields.inner {
		if in := &u.fields.inner[i]; in.name == name {
			return &in.unknown
		}
	}
	return nil
}

// At returns where the reader of the struct in the field name puts the fields that it does not know. It is good until the
// next call of At. For a nil u it is nil.
func (u *Unknown) At(name string) *Unknown {
	if u == nil {
		return nil
	}
	if u.fields == nil {
		u.fields = new(unknownFields)
		u.fields.inner = u.fields.first[:0]
	}
	// Most nested structs leave nothing; their place is taken by the next one.
	f := u.fields
	if n := len(f.inner); n > 0 && f.inner[n-1].unknown.isEmpty() {
		f.inner[n-1].name = name
	} else {
		f.inner = append(f.inner, innerUnknown{name: name})
	}
	return &f.inner[len(f.inner)-1].unknown
}

// Keep keeps the field name, with whose value b begins, and returns the bytes after the value. A nil u skips it.
func (u *Unknown) Keep(name, b []byte) ([]byte, error) {
	rest, err := msgp.Skip(b)
	if err != nil {
		return nil, skipError(b, err)
	}
	if u == nil {
		return rest, nil
	}
	if u.fields == nil {
		u.fields = new(unknownFields)
		u.fields.inner = u.fields.first[:0]
	}
	f := u.fields
	f.raw = msgp.AppendStringFromBytes(f.raw, name)
	f.raw = append(f.raw, b[:len(b)-len(rest)]...)
	f.count++
	return rest, nil
}

// Skip returns the bytes after the value with which b begins: a field that the program knows and does not keep.
func Skip(b []byte) ([]byte, error) {
	rest, err := msgp.Skip(b)
	if err != nil {
		return nil, skipError(b, err)
	}
	return rest, nil
}

// skipError puts an error of msgp.Skip into the words of this package.
func skipError(b []byte, err error) error {
	switch err {
	case msgp.ErrShortBytes:
		return errShort
	case msgp.ErrRecursion:
		return ErrDepth
	}
	return mismatch("a value", b)
}

// OrNil returns u, or nil if it holds nothing. It is called once, when the document was read.
func (u *Unknown) OrNil() *Unknown {
	if u == nil || u.isEmpty() {
		return nil
	}
	return u
}

// isEmpty reports whether u and what is nested in it hold nothing. It drops what is nested and empty.
func (u *Unknown) isEmpty() bool {
	f := u.fields
	if f == nil {
		return true
	}
	if n := len(f.inner); n > 0 && f.inner[n-1].unknown.isEmpty() { // only the last can be, see At
		f.inner = f.inner[:n-1]
	}
	return f.count == 0 && len(f.inner) == 0
}

// Own ends the reading of a struct that carries u and has the name of.
func (u *Unknown) Own(of string) {
	if u.isEmpty() {
		u.fields = nil
		return
	}
	u.fields.of = of
}

// Of returns u if it was read with a struct of that name, else nil.
func (u *Unknown) Of(of string) *Unknown {
	if u.fields == nil || u.fields.of != of {
		return nil
	}
	return u
}

// AppendHeader appends the header of a struct with n fields and those of u.
func AppendHeader(b []byte, n int, u *Unknown) []byte {
	return msgp.AppendMapHeader(b, uint32(n+u.Len()))
}

// AppendUnknown appends the fields of u itself; those of the nested structs went with them.
func AppendUnknown(b []byte, u *Unknown) []byte {
	if u == nil || u.fields == nil {
		return b
	}
	return append(b, u.fields.raw...)
}
