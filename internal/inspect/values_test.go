package inspect

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// read reads a JSON value of a type and returns its bytes, and as JSON again.
func read(t testing.TB, typeText, text string) (stored []byte, again string, err error) {
	t.Helper()
	typ, err := parseType(typeText)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newParser([]byte(text))
	if err != nil {
		return nil, "", err
	}
	if stored, err = p.value(nil, typ, 0); err != nil {
		return nil, "", err
	}
	if err := p.end(); err != nil {
		return nil, "", err
	}
	j, rest, err := typ.appendJSON(nil, stored, 0)
	if err != nil || len(rest) > 0 {
		t.Errorf("%s as %s is stored as %x, which cannot be read: %v, %d bytes follow", text, typeText, stored, err, len(rest))
	}
	return stored, string(j), nil
}

func TestValuesComeBack(t *testing.T) {
	for _, c := range []struct{ typ, in, out string }{ // out "": the same
		{"bool", "true", ""},
		{"int64", "9223372036854775807", ""},
		{"int8", "-128", ""},
		{"uint64", "18446744073709551615", ""},
		{"float64", "0.1", ""},
		{"float64", "3", ""},
		{"float64", "-0", ""},
		{"float64", "1e300", "1e+300"},
		{"float64", `{"$float":"NaN"}`, ""},
		{"float64", `{"$float":"-Inf"}`, ""},
		{"float32", "0.1", ""},
		{"string", `"ü\u0000\n\"<>"`, ""},
		{"string", `"\ud83d\ude00"`, `"😀"`},
		{"string", `{"$bytes":"/w=="}`, ""},
		{"bytes", `"AAEC/w=="`, ""},
		{"bytes", `""`, ""},
		{"bytes", "null", ""},
		{"json", `{"b":1,"a":[null,1.50]}`, ""},
		{"json", `{ "a": 1 }`, `{"$bytes":"eyAiYSI6IDEgfQ=="}`},
		{"json", "null", ""},
		{"json", `{"$bytes":"bnVsbA=="}`, ""},
		{"time", `"2026-01-02T03:04:05.000000006Z"`, ""},
		{"time", `"2026-01-02T03:04:05+01:00"`, `"2026-01-02T02:04:05Z"`},
		{"time", `{"$time":[-99999999999999,5]}`, ""},
		{"uuid", `"0190b2c4-9f00-7000-8000-000000000001"`, ""},
		{"*int", "null", ""},
		{"[]string", `["a","b"]`, ""},
		{"[]string", "[]", ""},
		{"[]string", "null", ""},
		{"[2]int", "[1,2]", ""},
		{"map[string]int", `{"b":1,"a":2}`, `{"a":2,"b":1}`},
		{"map[string]int", `{"$map":[["$x",1]]}`, ""},
		{"map[string]int", `{"$map":[[{"$bytes":"/w=="},1]]}`, ""},
		{"map[int16]string", `{"10":"x","-2":"y","9":"z"}`, `{"-2":"y","9":"z","10":"x"}`},
		{"map[uint8]bool", `{"200":true}`, ""},
		{"map[bool]time", `{"true":"2026-01-02T03:04:05Z"}`, ""},
		{"struct{a int; b []*^1}", `{"b":[{"a":1,"b":null},null],"a":2}`, `{"a":2,"b":[{"a":1,"b":null},null]}`},
		{"struct{a int; s string; l []int; t struct{x bool}}", "{}", `{"a":0,"s":"","l":null,"t":{"x":false}}`},
		{"struct{a int; old drop}", `{"a":1,"old":[1,{"x":2}]}`, `{"a":1}`},
		{"struct{a int}", `{"a":1,"$unknown":{"f":1.0,"i":300,"n":-5,"s":"x","l":[null,true,{"k":1e+30}],"b":{"$bytes":"AA=="},"t":{"$time":"2026-01-02T03:04:05Z"},"u":{"$raw":"zMg="}}}`, ""},
	} {
		if c.out == "" {
			c.out = c.in
		}
		stored, out, err := read(t, c.typ, c.in)
		if err != nil || out != c.out {
			t.Errorf("%s as %s = %s, %v, want %s", c.in, c.typ, out, err, c.out)
			continue
		}
		if again, _, err := read(t, c.typ, out); err != nil || !bytes.Equal(again, stored) {
			t.Errorf("%s as %s is stored as %x, and after a dump and a load as %x, %v", c.in, c.typ, stored, again, err)
		}
	}
}

func TestWhatIsNoValueIsRefusedAtItsPlace(t *testing.T) {
	for _, c := range []struct{ typ, in, want string }{
		{"int8", "128", `column 1: "128" does not fit into int8`},
		{"int", "1.5", `column 1: "1.5" is no int`},
		{"int", `"1"`, `column 1: "1" is no int`},
		{"uint", "-1", `column 1: "-1" is no uint`},
		{"float32", "1e39", `column 1: "1e39" does not fit into float32`},
		{"bool", "1", `column 1: "1" is no bool`},
		{"string", "1", `column 1: "1" is no string`},
		{"string", "{}", "column 2: an object, want string"},
		{"string", "[1]", "column 1: a list or an object, want string"},
		{"time", `"yesterday"`, `column 1: "yesterday" is no time; write it as 2006-01-02T15:04:05Z`},
		{"bytes", `"A"`, `column 1: "A" is no base64`},
		{"uuid", `"0190b2c49f0070008000000000000001"`, `column 1: "0190b2c49f0070008000000000000001" is no uuid, as 0190b2c4-9f00-7000-8000-000000000001`},
		{"[2]int", "[1]", "column 3: 1 elements, want 2"},
		{"struct{title string}", `{"titel":1}`, `column 2: field titel: there is no such field; did you mean "title"?`},
		{"struct{a struct{l []int}}", `{"a": {"l": [1, "x"]}}`, `column 17: field a.l[1]: "x" is no int`},
		{"struct{a int}", `{"a":1,"a":2}`, `column 8: the name "a" is there twice`},
		{"struct{a int}", `{"$unknown":{"a":1}}`, "column 14: field $unknown.a: the field is known"},
		{"struct{a int}", `{"$unknown":{"b":{"$raw":"/w"}}}`, `column 26: field $unknown.b.$raw: "/w" is no base64`},
		{"struct{a int}", `{"$unknown":{"b":{"$raw":"k///"}}}`, "column 26: field $unknown.b.$raw: this is not one MessagePack value"},
		{"map[string]int", `{"$x":1}`, `column 2: field $x: the name "$x" begins with $; write the map as {"$map":[[key,value],…]}`},
		{"map[int]int", `{"01":1,"1":2}`, "column 14: a key of the map is there twice"},
		{"string", "\"a\xff\"", "column 3: the bytes here are not UTF-8"},
		{"string", `"\ud800x"`, "column 2: half of a surrogate pair, which is no character"},
		{"string", "\"\x00\"", "column 2: no JSON: invalid character '\\x00' in string literal"},
		{"string", `"a" "b"`, "column 4: something follows the object; a line has one"},
		{"[]int", "[1,", "column 4: field [1]: no JSON: the line ends inside a value"},
		{"struct{a []^1}", strings.Repeat(`{"a":[`, 600), "a[0].a[0].…: it is nested more than 500 levels deep"},
	} {
		_, out, err := read(t, c.typ, c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s as %s = %s, %v\nwant an error with %s", c.in, c.typ, out, err, c.want)
		}
		var at *valueError
		if err != nil && !errors.As(err, &at) {
			t.Errorf("%.60s as %s: the error %v has no place", c.in, c.typ, err)
		}
	}
}

// appendRandom appends a value of any form that a newer schema might have, in encodings that are not the shortest too.
func appendRandom(r *rand.Rand, b []byte, depth int) []byte {
	switch k := r.IntN(16); {
	case k == 0:
		return msgp.AppendNil(b)
	case k == 1:
		return msgp.AppendBool(b, r.IntN(2) == 0)
	case k == 2:
		return msgp.AppendInt64(b, r.Int64()>>r.IntN(64))
	case k == 3:
		return msgp.AppendUint64(b, r.Uint64()>>r.IntN(64))
	case k == 4:
		return append(b, 0xD2, 0, 0, 0, 7) // not as short as it could be
	case k == 5:
		return msgp.AppendFloat64(b, float64(r.IntN(1000)))
	case k == 6:
		return msgp.AppendFloat64(b, r.NormFloat64())
	case k == 7:
		return msgp.AppendFloat32(b, 1.5)
	case k == 8:
		return msgp.AppendString(b, []string{"", "text", "\xff", "$x", "\u2028"}[r.IntN(5)])
	case k == 9:
		return msgp.AppendBytes(b, []byte("bytes"))
	case k == 10:
		return gen.AppendTime(b, time.Unix(r.Int64N(1<<40), 5))
	case k == 11:
		return append(b, 0xD4, 5, 1) // an extension that nobody knows
	case depth == 0:
		return msgp.AppendInt(b, 1)
	case k < 14:
		n := r.IntN(4)
		b = msgp.AppendArrayHeader(b, uint32(n))
		for range n {
			b = appendRandom(r, b, depth-1)
		}
		return b
	}
	n := r.IntN(4)
	b = msgp.AppendMapHeader(b, uint32(n))
	for range n {
		if r.IntN(5) == 0 {
			b = msgp.AppendInt(b, r.IntN(3))
		} else {
			b = msgp.AppendString(b, []string{"a", "b", "$c", "\xff"}[r.IntN(4)])
		}
		b = appendRandom(r, b, depth-1)
	}
	return b
}

// A value without a type is the same bytes after it was written as JSON and read.
func TestUntypedValuesComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20_000 {
		value := appendRandom(r, nil, 3)
		j, rest, err := appendAny(nil, value, 0)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%x: %v, %d bytes follow", value, err, len(rest))
		}
		p, err := newParser(j)
		if err != nil {
			t.Fatalf("%x is %s: %v", value, j, err)
		}
		again, err := p.any(nil, 0)
		if err != nil || !bytes.Equal(again, value) || p.end() != nil {
			t.Fatalf("%x is written as %s, which is read as %x, %v", value, j, again, err)
		}
	}
}

func TestKeysArePrintedAndParsed(t *testing.T) {
	entity := func(types ...string) *Entity {
		e := &Entity{Name: "e"}
		for i, text := range types {
			typ, err := parseType(text)
			if err != nil {
				t.Fatal(err)
			}
			e.keys = append(e.keys, keyField{string(rune('a' + i)), component{typ: typ}, i})
		}
		return e
	}
	for _, c := range []struct {
		e        *Entity
		in, want string
	}{
		{entity("string"), "a/b \"c\"", "a/b \"c\""},
		{entity("int8"), "-7", "-7"},
		{entity("bool"), "true", "true"},
		{entity("time"), "2026-01-02", "2026-01-02T00:00:00Z"},
		{entity("uuid"), "0190B2C4-9f00-7000-8000-000000000001", "0190b2c4-9f00-7000-8000-000000000001"},
		{entity("string", "string"), "acme/hello", "acme/hello"},
		{entity("string", "int"), `"a/b"/3`, `"a/b"/3`},
		{entity("string", "string"), `x/""`, `x/""`},
		{entity("string", "time", "bool"), "x/2026-01-02T03:04:05Z/false", "x/2026-01-02T03:04:05Z/false"},
	} {
		k, err := c.e.ParseKey(c.in)
		if err != nil || k.String() != c.want {
			t.Errorf("ParseKey(%s) = %s, %v, want %s", c.in, k, err, c.want)
			continue
		}
		if again, err := c.e.ParseKey(k.String()); err != nil || again != k {
			t.Errorf("%s is parsed as %s, %v", k, again, err)
		}
	}
	for in, want := range map[string]string{
		"a":     `the key "a" of e has 1 parts, want 2: a/b`,
		"a/b":   `the key "a/b" of e: b: "b" is no int`,
		"a/1/2": `the key "a/1/2" of e has 3 parts, want 2: a/b`,
		`"a`:    `the key "\"a" of e has 1 parts, want 2: a/b`,
	} {
		if k, err := entity("string", "int").ParseKey(in); err == nil || err.Error() != want {
			t.Errorf("ParseKey(%s) = %s, %v, want %s", in, k, err, want)
		}
	}
}

func TestTypesThatCannotBeReadAreRefused(t *testing.T) {
	for _, text := range []string{"", "future", "^1", "[x]int", "[-1]int", "[99999999]int", "map[float64]int", "struct{a ^2}", "int x", "map[", "struct{a int"} {
		if typ, err := parseType(text); err == nil {
			t.Errorf("parseType(%q) = %+v, want an error", text, typ)
		}
	}
}
