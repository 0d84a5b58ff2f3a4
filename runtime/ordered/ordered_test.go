package ordered

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// TestGolden fixes the bytes: they are stored, and may never change.
func TestGolden(t *testing.T) {
	const inf = "fff0000000000000"
	id := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"empty string", AppendString(nil, ""), "0001"},
		{"string", AppendString(nil, "abc"), "6162630001"},
		{"string with a zero", AppendString(nil, "a\x00b"), "6100ff620001"},
		{"zeros", AppendString(nil, "\x00\x00"), "00ff00ff0001"},
		{"string desc", AppendStringDesc(nil, "abc"), "9e9d9cfffe"},
		{"string with a zero desc", AppendStringDesc(nil, "a\x00b"), "9eff009dfffe"},
		{"prefix", AppendStringPrefix(nil, "a\x00b"), "6100ff62"},
		{"prefix desc", AppendStringPrefixDesc(nil, "a\x00b"), "9eff009d"},
		{"bytes", AppendBytes(nil, []byte{1, 0, 255}), "0100ffff0001"},
		{"bytes desc", AppendBytesDesc(nil, []byte{1, 0, 255}), "feff0000fffe"},
		{"int", AppendInt(nil, 1), "8000000000000001"},
		{"int desc", AppendIntDesc(nil, 1), "7ffffffffffffffe"},
		{"negative int", AppendInt(nil, int8(-1)), "7fffffffffffffff"},
		{"least int", AppendInt(nil, int64(math.MinInt64)), "0000000000000000"},
		{"uint", AppendUint(nil, uint8(200)), "00000000000000c8"},
		{"uint desc", AppendUintDesc(nil, uint8(200)), "ffffffffffffff37"},
		{"float64", AppendFloat64(nil, 1.0), "bff0000000000000"},
		{"float64 desc", AppendFloat64Desc(nil, 1.0), "400fffffffffffff"},
		{"negative float64", AppendFloat64(nil, -1.0), "400fffffffffffff"},
		{"zero float64", AppendFloat64(nil, 0.0), "8000000000000000"},
		{"minus zero float64", AppendFloat64(nil, math.Copysign(0, -1)), "8000000000000000"},
		{"NaN", AppendFloat64(nil, math.NaN()), "0000000000000000"},
		{"another NaN", AppendFloat64(nil, math.Float64frombits(0xfff8000000000123)), "0000000000000000"},
		{"NaN desc", AppendFloat64Desc(nil, math.NaN()), "ffffffffffffffff"},
		{"infinity", AppendFloat64(nil, math.Inf(1)), inf},
		{"minus infinity", AppendFloat64(nil, math.Inf(-1)), "000fffffffffffff"},
		{"float32", AppendFloat32(nil, float32(1)), "bf800000"},
		{"float32 desc", AppendFloat32Desc(nil, float32(1)), "407fffff"},
		{"minus zero float32", AppendFloat32(nil, float32(math.Copysign(0, -1))), "80000000"},
		{"NaN float32", AppendFloat32(nil, float32(math.NaN())), "00000000"},
		{"false", AppendBool(nil, false), "00"},
		{"true", AppendBool(nil, true), "01"},
		{"true desc", AppendBoolDesc(nil, true), "fe"},
		{"epoch", AppendTime(nil, time.Unix(0, 0)), "800000000000000000000000"},
		{"time", AppendTime(nil, time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC)), "800000006957de6500000006"},
		{"time desc", AppendTimeDesc(nil, time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC)), "7fffffff96a8219afffffff9"},
		{"zero time", AppendTime(nil, time.Time{}), "7ffffff1886e090000000000"},
		{"uuid", AppendUUID(nil, id), "0102030405060708090a0b0c0d0e0f10"},
		{"uuid desc", AppendUUIDDesc(nil, id), "fefdfcfbfaf9f8f7f6f5f4f3f2f1f0ef"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s = %s, want %s", c.name, got, c.want)
		}
	}
}

func TestMalformedIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(b []byte) error
		in   string
		want string // the message
	}{
		{"no terminator", errOf(ReadString[string]), "6162", "ordered: string, byte 2: the key ends here, before the end of the component: malformed key"},
		{"bad escape", errOf(ReadString[string]), "61000262", "ordered: string, byte 2: 02 must not follow 00: malformed key"},
		{"bad escape of zero", errOf(ReadString[string]), "0000", "ordered: string, byte 1: 00 must not follow 00: malformed key"},
		{"escape cut off", errOf(ReadString[string]), "6100", "ordered: string, byte 2: the key ends here, before the end of the component: malformed key"},
		{"ascending read as descending", errOf(ReadStringDesc[string]), "6100ff", "ordered: string desc, byte 3: the key ends here, before the end of the component: malformed key"},
		{"bad escape desc", errOf(ReadStringDesc[string]), "9effff", "ordered: string desc, byte 2: FF must not follow FF: malformed key"},
		{"bytes", errOf(ReadBytes[[]byte]), "0003", "ordered: bytes, byte 1: 03 must not follow 00: malformed key"},
		{"too long for int8", errOf(ReadInt[int8]), "8000000000000080", "ordered: int, byte 0: 128 does not fit into the type of the field: malformed key"},
		{"too small for int8", errOf(ReadIntDesc[int8]), "8000000000000080", "ordered: int desc, byte 0: -129 does not fit into the type of the field: malformed key"},
		{"too long for uint8", errOf(ReadUint[uint8]), "0000000000000100", "ordered: uint, byte 0: 256 does not fit into the type of the field: malformed key"},
		{"too long for uint8 desc", errOf(ReadUintDesc[uint8]), "fffffffffffffeff", "ordered: uint desc, byte 0: 256 does not fit into the type of the field: malformed key"},
		{"short", errOf(ReadInt[int]), "80", "ordered: int, byte 1: the key ends here, 8 bytes are needed: malformed key"},
		{"minus zero", errOf(ReadFloat64[float64]), "7fffffffffffffff", "ordered: float64, byte 0: 7FFFFFFFFFFFFFFF is a zero or a NaN that is never written so: malformed key"},
		{"minus zero desc", errOf(ReadFloat64Desc[float64]), "8000000000000000", "ordered: float64 desc, byte 0: 8000000000000000 is a zero or a NaN that is never written so: malformed key"},
		{"positive NaN", errOf(ReadFloat64[float64]), "fff8000000000000", "ordered: float64, byte 0: FFF8000000000000 is a zero or a NaN that is never written so: malformed key"},
		{"negative NaN", errOf(ReadFloat64[float64]), "0000000000000001", "ordered: float64, byte 0: 0000000000000001 is a zero or a NaN that is never written so: malformed key"},
		{"minus zero float32", errOf(ReadFloat32[float32]), "7fffffff", "ordered: float32, byte 0: 7FFFFFFF is a zero or a NaN that is never written so: malformed key"},
		{"NaN float32 desc", errOf(ReadFloat32Desc[float32]), "fffffffe", "ordered: float32 desc, byte 0: FFFFFFFE is a zero or a NaN that is never written so: malformed key"},
		{"bool", errOf(ReadBool[bool]), "02", "ordered: bool, byte 0: 02 is neither 00 nor 01: malformed key"},
		{"bool desc", errOf(ReadBoolDesc[bool]), "01", "ordered: bool desc, byte 0: 01 is neither FF nor FE: malformed key"},
		{"bool desc beside true", errOf(ReadBoolDesc[bool]), "fd", "ordered: bool desc, byte 0: FD is neither FF nor FE: malformed key"},
		{"nanoseconds", errOf(ReadTime), "80000000000000003b9aca00", "ordered: time, byte 8: 1000000000 nanoseconds are a second or more: malformed key"},
		{"nanoseconds desc", errOf(ReadTimeDesc), "800000000000000000000000", "ordered: time desc, byte 8: 4294967295 nanoseconds are a second or more: malformed key"},
		{"uuid", errOf(ReadUUID[[16]byte]), "00", "ordered: uuid, byte 1: the key ends here, 16 bytes are needed: malformed key"},
	} {
		in, err := hex.DecodeString(c.in)
		if err != nil {
			t.Fatal(err)
		}
		err = c.read(in)
		if !errors.Is(err, ErrMalformed) || err.Error() != c.want {
			t.Errorf("%s: read(%s) = %v, want %s", c.name, c.in, err, c.want)
		}
	}
}

func errOf[T any](read func([]byte) (T, []byte, error)) func([]byte) error {
	return func(b []byte) error {
		_, _, err := read(b)
		return err
	}
}

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"", ""}, {"ff", ""}, {"ffffff", ""},
		{"00", "01"}, {"61", "62"}, {"fe", "ff"}, {"61ff", "62"}, {"61ffff", "62"}, {"6100ff", "6101"}, {"feff", "ff"}, {"ff00", "ff01"},
	} {
		prefix, _ := hex.DecodeString(c.prefix)
		end := PrefixEnd(nil, prefix)
		if got := hex.EncodeToString(end); got != c.want {
			t.Errorf("PrefixEnd(%s) = %s, want %s", c.prefix, got, c.want)
		}
		if end == nil {
			continue
		}
		if got := PrefixEnd([]byte("in front"), prefix); !bytes.Equal(got, append([]byte("in front"), end...)) {
			t.Errorf("PrefixEnd(dst, %s) = %x, want dst and %x", c.prefix, got, end)
		}
		// The greatest keys with the prefix are below it, and nothing that is not greater than all of them is above.
		if inside := append(prefix, bytes.Repeat([]byte{0xff}, 2000)...); bytes.Compare(inside, end) >= 0 {
			t.Errorf("a key with prefix %s is not below PrefixEnd = %x", c.prefix, end)
		}
		below := append(append([]byte(nil), end[:len(end)-1]...), end[len(end)-1]-1)
		if !bytes.HasPrefix(prefix, below) {
			t.Errorf("PrefixEnd(%s) = %x is not the smallest", c.prefix, end)
		}
		if got := PrefixEnd(prefix[:0], prefix); !bytes.Equal(got, end) {
			t.Errorf("PrefixEnd(%s) over its own prefix = %x, want %x", c.prefix, got, end)
		}
	}
}

func TestStringPrefixRangeHoldsExactlyThoseStrings(t *testing.T) {
	all := forms[0].values
	for _, p := range all {
		p := p.(name)
		if p == "" {
			continue // every string: the range has no end of its own
		}
		for _, c := range []struct {
			name   string
			prefix []byte
			app    func([]byte, name) []byte
		}{{"asc", AppendStringPrefix(nil, p), AppendString[name]}, {"desc", AppendStringPrefixDesc(nil, p), AppendStringDesc[name]}} {
			end := PrefixEnd(nil, c.prefix)
			for _, v := range all {
				v := v.(name)
				for _, after := range []string{"", "\x00", "\xff\xff"} { // the component that follows
					key := append(c.app(nil, v), after...)
					inside := bytes.Compare(key, c.prefix) >= 0 && (end == nil || bytes.Compare(key, end) < 0)
					if want := strings.HasPrefix(string(v), string(p)); inside != want {
						t.Errorf("%s: %q in the range of prefix %q = %v, want %v", c.name, v, p, inside, want)
					}
				}
			}
		}
	}
}

func TestBytesReadBackAreACopy(t *testing.T) {
	key := AppendBytes(nil, []byte("abc"))
	v, _, err := ReadBytes[[]byte](key)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := ReadString[string](key)
	if err != nil {
		t.Fatal(err)
	}
	clear(key)
	if string(v) != "abc" || s != "abc" {
		t.Errorf("after the key was overwritten: %q and %q, want abc", v, s)
	}
	if v, _, err := ReadBytes[[]byte](AppendBytes[[]byte](nil, nil)); err != nil || v == nil || len(v) != 0 {
		t.Errorf("reading empty bytes = %v, %v; want empty, not nil", v, err)
	}
}

func TestTimeReadBackIsUTCAndComparable(t *testing.T) {
	zone := time.FixedZone("somewhere", 5*3600)
	for _, v := range []time.Time{{}, time.Now(), time.Date(2026, 1, 2, 3, 4, 5, 6, zone)} {
		got, _, err := ReadTime(AppendTime(nil, v))
		if want := v.Round(0).UTC(); err != nil || got != want {
			t.Errorf("ReadTime(AppendTime(%v)) = %#v, %v; want %#v", v, got, err, want)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 256)
	text, blobs := strings.Repeat("text", 10), []byte("a\x00b")
	now, id, f := time.Now(), [16]byte{1}, 3.5
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"string", func() { b = AppendString(b[:0], text) }},
		{"string desc", func() { b = AppendStringDesc(b[:0], text) }},
		{"string prefix", func() { b = AppendStringPrefix(b[:0], text) }},
		{"bytes", func() { b = AppendBytes(b[:0], blobs) }},
		{"bytes desc", func() { b = AppendBytesDesc(b[:0], blobs) }},
		{"int", func() { b = AppendIntDesc(AppendInt(b[:0], 1), 1) }},
		{"uint", func() { b = AppendUintDesc(AppendUint(b[:0], uint(1)), uint(1)) }},
		{"float64", func() { b = AppendFloat64Desc(AppendFloat64(b[:0], f), f) }},
		{"float32", func() { b = AppendFloat32Desc(AppendFloat32(b[:0], float32(f)), float32(f)) }},
		{"bool", func() { b = AppendBoolDesc(AppendBool(b[:0], true), true) }},
		{"time", func() { b = AppendTimeDesc(AppendTime(b[:0], now), now) }},
		{"uuid", func() { b = AppendUUIDDesc(AppendUUID(b[:0], id), id) }},
		{"prefix end", func() { b = PrefixEnd(b[:0], blobs) }},
	} {
		if n := testing.AllocsPerRun(100, c.do); n != 0 {
			t.Errorf("%s: %v allocations, want none", c.name, n)
		}
	}
	key := AppendTime(AppendFloat64(AppendString(nil, text), f), now)
	read := func() {
		_, rest, _ := ReadString[string](key)
		_, rest, _ = ReadFloat64[float64](rest)
		_, _, _ = ReadTime(rest)
	}
	if n := testing.AllocsPerRun(100, read); n > 1 {
		t.Errorf("reading a string, a float and a time: %v allocations, want the one of the string", n)
	}
}

func TestFormat(t *testing.T) {
	id := [16]byte{0xde, 0xad, 0xbe, 0xef, 15: 1}
	key := AppendString(nil, "bo\"oks")
	key = AppendFloat64Desc(key, 12.5)
	key = AppendTime(key, time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC))
	key = AppendIntDesc(key, -7)
	key = AppendUint(key, uint(7))
	key = AppendBool(key, true)
	key = AppendBytes(key, []byte{1, 0})
	key = AppendUUID(key, id)
	key = AppendFloat32(key, float32(0.1))
	kinds := []Kind{String, Float64 | Desc, Time, Int | Desc, Uint, Bool, Bytes, UUID, Float32}
	for _, c := range []struct {
		name  string
		key   []byte
		kinds []Kind
		want  string
	}{
		{"all", key, kinds, `("bo\"oks", 12.5, 2026-01-02T15:04:05.000000006Z, -7, 7, true, x"0100", deadbeef-0000-0000-0000-000000000001, 0.1)`},
		{"nothing", nil, kinds, `()`},
		{"no kinds", []byte{1, 2}, nil, `(0x0102)`},
		{"ends early", AppendString(nil, "a"), kinds, `("a")`},
		{"goes on", append(AppendString(nil, "a"), 1, 2), kinds[:1], `("a", 0x0102)`},
		{"cannot be read", append(AppendString(nil, "a"), 1, 2), kinds, `("a", 0x0102)`},
		{"unknown kind", []byte{1}, []Kind{77}, `(0x01)`},
	} {
		if got := Format(c.key, c.kinds...); got != c.want {
			t.Errorf("%s: Format = %s, want %s", c.name, got, c.want)
		}
	}
	for k, want := range map[Kind]string{String: "string", Time | Desc: "time desc", 77: "kind 77", 0: "kind 0"} {
		if k.String() != want {
			t.Errorf("Kind(%d).String() = %s, want %s", uint8(k), k, want)
		}
	}
}
