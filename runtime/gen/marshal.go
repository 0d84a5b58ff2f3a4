package gen

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kixxgen/kixxgen/runtime/ordered"
	"github.com/tinylib/msgp/msgp"
)

// Types that marshal themselves are stored as the text, the bytes or the JSON that they make of themselves, and what they
// read from it is what a document holds: a value is canonical if it has been through them. The functions come in threes:
// Text for types with MarshalText and UnmarshalText, Binary for MarshalBinary and UnmarshalBinary, JSON for MarshalJSON and
// UnmarshalJSON. A method that fails refuses the document.

// texts is the constraint of a pointer to a type that is stored as text.
type texts[T any] interface {
	*T
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

// binaries is the constraint of a pointer to a type that is stored as bytes.
type binaries[T any] interface {
	*T
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// marshalers is the constraint of a pointer to a type that is stored as JSON.
type marshalers[T any] interface {
	*T
	json.Marshaler
	json.Unmarshaler
}

// textOf returns the text of v, or refuses it.
func textOf(v encoding.TextMarshaler, field string) []byte {
	data, err := v.MarshalText()
	if err != nil {
		refused(field, fmt.Errorf("MarshalText: %w", err))
	}
	return data
}

// binaryOf returns the bytes of v, or refuses it.
func binaryOf(v encoding.BinaryMarshaler, field string) []byte {
	data, err := v.MarshalBinary()
	if err != nil {
		refused(field, fmt.Errorf("MarshalBinary: %w", err))
	}
	return data
}

// jsonOf returns the JSON of v without blanks, or refuses it.
func jsonOf(v json.Marshaler, field string) []byte {
	data, err := v.MarshalJSON()
	var compact bytes.Buffer
	if err == nil {
		err = json.Compact(&compact, data)
	}
	if err != nil {
		refused(field, fmt.Errorf("MarshalJSON: %w", err))
	}
	return compact.Bytes()
}

// AppendText appends the text of v. It panics with a [*RefusedError] if there is none.
func AppendText(b []byte, v encoding.TextMarshaler) []byte {
	return msgp.AppendStringFromBytes(b, textOf(v, ""))
}

// AppendBinary appends the bytes of v. It panics with a [*RefusedError] if there are none.
func AppendBinary(b []byte, v encoding.BinaryMarshaler) []byte {
	return msgp.AppendBytes(b, binaryOf(v, ""))
}

// AppendMarshaler appends the JSON of v. It panics with a [*RefusedError] if there is none.
func AppendMarshaler(b []byte, v json.Marshaler) []byte {
	return msgp.AppendStringFromBytes(b, jsonOf(v, ""))
}

// ReadText reads what [AppendText] wrote. nil is the zero value.
func ReadText[T any, P texts[T]](b []byte) (v T, rest []byte, err error) {
	return readMarshaled(b, func(v *T, data []byte) error { return P(v).UnmarshalText(data) })
}

// ReadBinary reads what [AppendBinary] wrote. nil is the zero value.
func ReadBinary[T any, P binaries[T]](b []byte) (v T, rest []byte, err error) {
	return readMarshaled(b, func(v *T, data []byte) error { return P(v).UnmarshalBinary(data) })
}

// ReadMarshaler reads what [AppendMarshaler] wrote. nil is the zero value.
func ReadMarshaler[T any, P marshalers[T]](b []byte) (v T, rest []byte, err error) {
	return readMarshaled(b, func(v *T, data []byte) error { return P(v).UnmarshalJSON(data) })
}

// readMarshaled reads text or bytes and hands a copy of them to unmarshal: it is code of others, and may keep them.
func readMarshaled[T any](b []byte, unmarshal func(v *T, data []byte) error) (v T, rest []byte, err error) {
	if len(b) > 0 && b[0] == isNil {
		return v, b[1:], nil
	}
	data, rest, err := readText(b)
	if err != nil {
		return v, nil, err
	}
	if err := unmarshal(&v, bytes.Clone(data)); err != nil {
		return v, nil, &unmarshalError{err}
	}
	return v, rest, nil
}

// An unmarshalError is an error of a type's own unmarshaling. What such an error says may hold the value itself, which
// belongs into no message of ours: it is there for errors.Is and errors.As.
type unmarshalError struct{ err error }

func (e *unmarshalError) Error() string {
	return fmt.Sprintf("its type cannot read what is stored (%T)", e.err)
}
func (e *unmarshalError) Unwrap() error { return e.err }

// CloneText returns a copy of v that shares nothing with it. A value without a text, which nothing stored has, is returned
// as it is.
func CloneText[T any, P texts[T]](v T) T {
	data, err := P(&v).MarshalText()
	return copied(v, data, err, func(c *T, data []byte) error { return P(c).UnmarshalText(data) })
}

// CloneBinary is [CloneText] for bytes.
func CloneBinary[T any, P binaries[T]](v T) T {
	data, err := P(&v).MarshalBinary()
	return copied(v, data, err, func(c *T, data []byte) error { return P(c).UnmarshalBinary(data) })
}

// CloneMarshaler is [CloneText] for JSON.
func CloneMarshaler[T any, P marshalers[T]](v T) T {
	data, err := P(&v).MarshalJSON()
	return copied(v, data, err, func(c *T, data []byte) error { return P(c).UnmarshalJSON(data) })
}

// copied returns what unmarshal makes of a copy of data, or v where there is nothing to make it of.
func copied[T any](v T, data []byte, err error, unmarshal func(c *T, data []byte) error) T {
	var c T
	if err != nil || unmarshal(&c, bytes.Clone(data)) != nil {
		return v
	}
	return c
}

// again returns the value that unmarshal reads, or refuses it.
func again[T any](unmarshal func(v *T) error, field string) (v T) {
	if err := unmarshal(&v); err != nil {
		refused(field, fmt.Errorf("what it marshals to cannot be read back: %w", err))
	}
	return v
}

var errUnsteady = errors.New("it is not the same after it was marshaled and read back, so that something of it would be lost")

// CanonText makes *v what it will be when it is read back. It panics with a [*RefusedError] that names field if *v has no
// text, or one that another value is read from.
func CanonText[T any, P texts[T]](v *T, field string) {
	data := textOf(P(v), field)
	c := again(func(c *T) error { return P(c).UnmarshalText(bytes.Clone(data)) }, field)
	if !bytes.Equal(textOf(P(&c), field), data) {
		refused(field, errUnsteady)
	}
	*v = c
}

// CanonBinary is [CanonText] for bytes.
func CanonBinary[T any, P binaries[T]](v *T, field string) {
	data := binaryOf(P(v), field)
	c := again(func(c *T) error { return P(c).UnmarshalBinary(bytes.Clone(data)) }, field)
	if !bytes.Equal(binaryOf(P(&c), field), data) {
		refused(field, errUnsteady)
	}
	*v = c
}

// CanonMarshaler is [CanonText] for JSON.
func CanonMarshaler[T any, P marshalers[T]](v *T, field string) {
	data := jsonOf(P(v), field)
	c := again(func(c *T) error { return P(c).UnmarshalJSON(bytes.Clone(data)) }, field)
	if !bytes.Equal(jsonOf(P(&c), field), data) {
		refused(field, errUnsteady)
	}
	*v = c
}

// EqualText compares the texts of values. One without a text is equal to nothing.
func EqualText[T any, P texts[T]](x, y *T) bool {
	a, errA := P(x).MarshalText()
	b, errB := P(y).MarshalText()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// EqualBinary compares the bytes of values. One without bytes is equal to nothing.
func EqualBinary[T any, P binaries[T]](x, y *T) bool {
	a, errA := P(x).MarshalBinary()
	b, errB := P(y).MarshalBinary()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// EqualMarshaler compares the JSON of values. One without JSON is equal to nothing.
func EqualMarshaler[T any, P marshalers[T]](x, y *T) bool {
	a, errA := P(x).MarshalJSON()
	b, errB := P(y).MarshalJSON()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Text returns the text of v, which stands for it in keys. It panics with a [*RefusedError] if there is none.
func Text[T any, P texts[T]](v T) string { return string(textOf(P(&v), "")) }

// SortedTexts returns the keys of m in the order of their texts. It panics with a [*RefusedError] if one has no text, or two
// have the same.
func SortedTexts[M ~map[K]V, K comparable, V any, P texts[K]](m M) []K {
	type named struct {
		text []byte
		key  K
	}
	all := make([]named, 0, len(m))
	for k := range m {
		all = append(all, named{textOf(P(&k), ""), k})
	}
	slices.SortFunc(all, func(a, b named) int { return bytes.Compare(a.text, b.text) })
	keys := make([]K, len(all))
	for i := range all {
		if i > 0 && bytes.Equal(all[i].text, all[i-1].text) {
			refused("", errors.New("two keys of a map have the same text"))
		}
		keys[i] = all[i].key
	}
	return keys
}

// CanonKeys returns m with its keys as canon makes them: m itself if these are the same. It panics with a [*RefusedError] that
// names field if two of them become one.
func CanonKeys[M ~map[K]V, K comparable, V any](m M, canon func(key *K, field string), field string) M {
	if m == nil {
		return nil
	}
	c := make(M, len(m))
	same := true
	for k, v := range m {
		is := k
		canon(&is, field)
		same = same && is == k
		if _, twice := c[is]; twice {
			refused(field, errors.New("two keys of the map are stored as the same"))
		}
		c[is] = v
	}
	if same {
		return m
	}
	return c
}

// CanonTimeKey makes *t, the key of a map, what [ReadTime] returns.
func CanonTimeKey(t *time.Time, _ string) { *t = CanonTime(*t) }

// AppendTextKey appends the text of v as a component of a key that is looked for. For a value without a text it appends what
// no entry has.
func AppendTextKey[T any, P texts[T]](b []byte, v T) []byte {
	data, err := P(&v).MarshalText()
	if err != nil {
		data = []byte("\xFF no text")
	}
	return ordered.AppendBytes(b, data)
}

// AppendTextKeyDesc is [AppendTextKey] in descending order.
func AppendTextKeyDesc[T any, P texts[T]](b []byte, v T) []byte {
	n := len(b)
	b = AppendTextKey[T, P](b, v)
	for i := n; i < len(b); i++ {
		b[i] = ^b[i]
	}
	return b
}

// ReadTextKey reads a component that [AppendTextKey] appended.
func ReadTextKey[T any, P texts[T]](b []byte) (v T, rest []byte, err error) {
	data, rest, err := ordered.ReadBytes[[]byte](b)
	if err == nil {
		err = P(&v).UnmarshalText(data)
	}
	return v, rest, err
}

// CanonKeyText makes *v, which the field of a key has, what is read back from its text. A value that has no text, or whose
// text is read as another value, is refused.
func CanonKeyText[T any, P texts[T]](v *T, field string) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *RefusedError:
			err = p
		default:
			panic(p)
		}
	}()
	CanonText[T, P](v, field)
	return nil
}
