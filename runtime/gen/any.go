package gen

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// A value of the type any is stored with what it is: nil, bool, int64, uint64 (only what int64 does not hold), float64,
// string, []byte, time.Time, []any and map[string]any, and these types are what is read back. Other integers and floats,
// and slices and maps of these types, are stored as the one that holds them. Everything else is refused, since nothing
// could tell later what it was.

// maxAnyDepth is how many lists and maps may be inside one another in a value of the type any.
const maxAnyDepth = 200

// A RefusedError says why a value cannot be stored. Functions that copy, append or compare a document have no error to
// return and panic with a *RefusedError, which is for their caller to recover, as [ErrDepth] is.
type RefusedError struct {
	Field string // of which struct, as "Item.Meta"; "" if it is not known
	Err   error
}

func (e *RefusedError) Error() string {
	if e.Field == "" {
		return e.Err.Error()
	}
	return "field " + e.Field + ": " + e.Err.Error()
}

// Unwrap returns the reason alone.
func (e *RefusedError) Unwrap() error { return e.Err }

// refused panics with a [RefusedError].
func refused(field string, err error) { panic(&RefusedError{field, err}) }

// AppendAny appends v. It panics with a [*RefusedError] if v is, or holds, a value of a type that is not stored.
func AppendAny(b []byte, v any) []byte { return appendAny(b, v, "", maxAnyDepth) }

// CanonAny returns v as [ReadAny] returns it, sharing nothing with v. It panics with a [*RefusedError] that names field if v
// is, or holds, a value of a type that is not stored.
func CanonAny(v any, field string) any {
	c, _, err := ReadAny(appendAny(nil, v, field, maxAnyDepth))
	if err != nil {
		refused(field, err)
	}
	return c
}

func appendAny(b []byte, v any, field string, depth int) []byte {
	if depth == 0 {
		refused(field, fmt.Errorf("lists and maps are nested more than %d deep, or contain themselves", maxAnyDepth))
	}
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(b)
	case bool:
		return msgp.AppendBool(b, v)
	case string:
		return msgp.AppendString(b, v)
	case int:
		return msgp.AppendInt(b, v)
	case int64:
		return msgp.AppendInt64(b, v)
	case float64:
		return msgp.AppendFloat64(b, v)
	case []byte:
		return AppendBytes(b, v)
	case time.Time:
		return AppendTime(b, v)
	case []any:
		b = AppendListHeader(b, v == nil, len(v))
		for _, x := range v {
			b = appendAny(b, x, field, depth-1)
		}
		return b
	case map[string]any:
		b = AppendMapHeader(b, v == nil, len(v))
		for _, k := range SortedKeys(v) {
			b = appendAny(msgp.AppendString(b, k), v[k], field, depth-1)
		}
		return b
	}
	return appendReflect(b, reflect.ValueOf(v), field, depth)
}

// appendReflect appends the other numbers, and lists and maps of their own types: []string, map[string][]int.
func appendReflect(b []byte, v reflect.Value, field string, depth int) []byte {
	t := v.Type()
	named := t.PkgPath() != "" // it may have methods, and its name would be lost
	switch kind := t.Kind(); {
	case named:
	case v.CanInt():
		return msgp.AppendInt64(b, v.Int())
	case kind != reflect.Uintptr && v.CanUint():
		if u := v.Uint(); u > math.MaxInt64 {
			return msgp.AppendUint64(b, u)
		}
		return msgp.AppendInt64(b, int64(v.Uint())) // so that equal numbers are equal bytes
	case v.CanFloat():
		return msgp.AppendFloat64(b, v.Float())
	case kind == reflect.Slice:
		b = AppendListHeader(b, v.IsNil(), v.Len())
		for i := range v.Len() {
			b = appendAny(b, v.Index(i).Interface(), field, depth-1)
		}
		return b
	case kind == reflect.Map && t.Key() == reflect.TypeFor[string]():
		b = AppendMapHeader(b, v.IsNil(), v.Len())
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
		for _, k := range keys {
			b = appendAny(msgp.AppendString(b, k.String()), v.MapIndex(k).Interface(), field, depth-1)
		}
		return b
	}
	refused(field, fmt.Errorf("a value of type %s cannot be stored in an any, which holds nil, bool, numbers, string, []byte, time.Time, "+
		"and slices and string maps of these; give the field its type, or store what it is made of", t))
	return nil
}

// ReadAny reads a value with what it is.
func ReadAny(b []byte) (any, []byte, error) { return readAny(b, maxAnyDepth) }

func readAny(b []byte, depth int) (v any, rest []byte, err error) {
	if depth == 0 {
		return nil, nil, fmt.Errorf("lists and maps are nested more than %d deep", maxAnyDepth)
	}
	if len(b) == 0 {
		return nil, nil, errShort
	}
	switch msgp.NextType(b) {
	case msgp.NilType:
		return nil, b[1:], nil
	case msgp.BoolType:
		return boxed(ReadBool[bool](b))
	case msgp.IntType:
		return boxed(readInt(b))
	case msgp.UintType:
		u, rest, err := readUint(b)
		if err == nil && u <= math.MaxInt64 {
			return int64(u), rest, nil
		}
		return boxed(u, rest, err)
	case msgp.Float32Type, msgp.Float64Type:
		return boxed(readFloat(b))
	case msgp.StrType:
		return boxed(ReadString[string](b))
	case msgp.BinType:
		return boxed(ReadBytes[[]byte](b))
	case msgp.ExtensionType, msgp.TimeType:
		return boxed(ReadTime(b))
	case msgp.ArrayType:
		return boxed(ReadSlice(b, func(b []byte) (any, []byte, error) { return readAny(b, depth-1) }))
	case msgp.MapType:
		return boxed(ReadMap(b, ReadString[string], func(b []byte) (any, []byte, error) { return readAny(b, depth-1) }))
	}
	return nil, nil, mismatch("a value", b)
}

// boxed returns v as an any, or nothing with an error.
func boxed[T any](v T, rest []byte, err error) (any, []byte, error) {
	if err != nil {
		return nil, nil, err
	}
	return v, rest, nil
}

// CloneAny returns a copy of v that shares nothing with it. What cannot be stored is not copied: it is refused before it
// gets anywhere.
func CloneAny(v any) any { return cloneAny(v, maxAnyDepth) }

func cloneAny(v any, depth int) any {
	if depth == 0 {
		refused("", fmt.Errorf("lists and maps in an any are nested more than %d deep, or contain themselves", maxAnyDepth))
	}
	switch v := v.(type) {
	case []byte:
		return slices.Clone(v)
	case []any:
		if v == nil {
			return v
		}
		c := make([]any, len(v))
		for i, x := range v {
			c[i] = cloneAny(x, depth-1)
		}
		return c
	case map[string]any:
		if v == nil {
			return v
		}
		c := make(map[string]any, len(v))
		for k, x := range v {
			c[k] = cloneAny(x, depth-1)
		}
		return c
	case nil, bool, string, time.Time, int, int64, uint64, float64:
		return v
	}
	if r := reflect.ValueOf(v); (r.Kind() == reflect.Slice || r.Kind() == reflect.Map) && r.Type().Name() == "" {
		return cloneReflect(r, depth)
	}
	return v
}

// cloneReflect copies lists and maps of their own types.
func cloneReflect(v reflect.Value, depth int) any {
	if v.IsNil() {
		return v.Interface()
	}
	element := func(x reflect.Value) reflect.Value {
		c := reflect.New(x.Type()).Elem()
		if copied := reflect.ValueOf(cloneAny(x.Interface(), depth-1)); copied.IsValid() {
			c.Set(copied)
		}
		return c
	}
	if v.Kind() == reflect.Slice {
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(element(v.Index(i)))
		}
		return c.Interface()
	}
	c := reflect.MakeMapWithSize(v.Type(), v.Len())
	for it := v.MapRange(); it.Next(); {
		c.SetMapIndex(it.Key(), element(it.Value()))
	}
	return c.Interface()
}

// EqualAny reports whether x and y are stored as the same bytes. What cannot be stored is equal to nothing.
func EqualAny(x, y any) (same bool) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *RefusedError:
			same = false
		default:
			panic(p)
		}
	}()
	return bytes.Equal(AppendAny(nil, x), AppendAny(nil, y))
}
