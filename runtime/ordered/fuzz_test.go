package ordered

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// FuzzOrder checks law 1 on two keys of several components, in all directions.
func FuzzOrder(f *testing.F) {
	f.Add("a", "a\x00", int64(1), int64(-1), 1.5, math.Copysign(0, -1), uint32(5), byte(0))
	f.Add("", "\xff", int64(math.MinInt64), int64(math.MaxInt64), math.NaN(), math.Inf(1), uint32(0), byte(7))
	f.Fuzz(func(t *testing.T, s1, s2 string, n1, n2 int64, f1, f2 float64, ns uint32, dirs byte) {
		t1, t2 := time.Unix(n1/4, int64(ns)), time.Unix(n2/4, int64(ns>>1))
		order := func(less, greater bool, bit int) int {
			sign := 1
			if dirs>>bit&1 != 0 {
				sign = -1
			}
			if less {
				return -sign
			}
			if greater {
				return sign
			}
			return 0
		}
		key := func(s string, n int64, f float64, at time.Time) (b []byte) {
			if dirs&1 != 0 {
				b = AppendStringDesc(b, s)
			} else {
				b = AppendString(b, s)
			}
			if dirs&2 != 0 {
				b = AppendFloat64Desc(b, f)
			} else {
				b = AppendFloat64(b, f)
			}
			if dirs&4 != 0 {
				b = AppendTimeDesc(b, at)
			} else {
				b = AppendTime(b, at)
			}
			if dirs&8 != 0 {
				return AppendIntDesc(b, n)
			}
			return AppendInt(b, n)
		}
		want := order(s1 < s2, s2 < s1, 0)
		if want == 0 {
			want = order(less(f1, f2), less(f2, f1), 1)
		}
		if want == 0 {
			want = order(t1.Before(t2), t2.Before(t1), 2)
		}
		if want == 0 {
			want = order(n1 < n2, n2 < n1, 3)
		}
		if got := bytes.Compare(key(s1, n1, f1, t1), key(s2, n2, f2, t2)); got != want {
			t.Errorf("Compare(%q %v %v %d, %q %v %v %d) = %d, want %d (directions %b)", s1, f1, t1, n1, s2, f2, t2, n2, got, want, dirs)
		}
	})
}

// FuzzText holds the string encoding against a plain twin that goes byte by byte.
func FuzzText(f *testing.F) {
	f.Add("")
	f.Add("a\x00b\x00\xff\x00")
	f.Fuzz(func(t *testing.T, s string) {
		var plain, inverted []byte
		for i := range len(s) {
			plain = append(plain, s[i])
			if s[i] == 0 {
				plain = append(plain, 0xFF)
			}
		}
		plain = append(plain, 0, 1)
		for _, c := range plain {
			inverted = append(inverted, 255-c)
		}
		if got := AppendString(nil, s); !bytes.Equal(got, plain) {
			t.Fatalf("AppendString(%q) = %x, want %x", s, got, plain)
		}
		if got := AppendStringDesc(nil, s); !bytes.Equal(got, inverted) {
			t.Fatalf("AppendStringDesc(%q) = %x, want %x", s, got, inverted)
		}
		for n := range plain {
			if _, _, err := ReadString[string](plain[:n]); err == nil {
				t.Fatalf("ReadString(%x) took a prefix of the encoding of %q", plain[:n], s)
			}
			if _, _, err := ReadStringDesc[string](inverted[:n]); err == nil {
				t.Fatalf("ReadStringDesc(%x) took a prefix of the encoding of %q", inverted[:n], s)
			}
		}
		if got, rest, err := ReadString[string](plain); got != s || len(rest) != 0 || err != nil {
			t.Fatalf("ReadString(AppendString(%q)) = %q, %x, %v", s, got, rest, err)
		}
		if got, rest, err := ReadBytesDesc[[]byte](inverted); string(got) != s || len(rest) != 0 || err != nil {
			t.Fatalf("ReadBytesDesc(AppendStringDesc(%q)) = %q, %x, %v", s, got, rest, err)
		}
		if p := AppendStringPrefix(nil, s); !bytes.Equal(p, plain[:len(plain)-2]) {
			t.Fatalf("AppendStringPrefix(%q) = %x, want %x", s, p, plain[:len(plain)-2])
		}
	})
}

// FuzzHostile checks law 3 on bytes from anywhere: what is read has exactly these bytes as its encoding, all else is
// ErrMalformed, and Format prints it in any case.
func FuzzHostile(f *testing.F) {
	for _, form := range forms {
		for _, v := range form.values {
			f.Add(form.asc(nil, v))
			f.Add(form.desc(nil, v))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, form := range forms {
			for _, d := range []struct {
				kind Kind
				read func([]byte) (any, []byte, error)
				app  func([]byte, any) []byte
			}{{form.kind, form.read, form.asc}, {form.kind | Desc, form.unread, form.desc}} {
				v, rest, err := d.read(b)
				if err != nil {
					if !errors.Is(err, ErrMalformed) || rest != nil {
						t.Fatalf("%v: read(%x) = rest %x, %v; want ErrMalformed and no rest", d.kind, b, rest, err)
					}
				} else if again := append(d.app(nil, v), rest...); !bytes.Equal(again, b) {
					t.Fatalf("%v: read(%x) = %#v, which is encoded as %x", d.kind, b, v, again)
				}
				if s := Format(b, d.kind, String, Time); !strings.HasPrefix(s, "(") || !strings.HasSuffix(s, ")") {
					t.Fatalf("Format(%x) = %s", b, s)
				}
			}
		}
		if end := PrefixEnd(nil, b); end != nil && (bytes.Compare(b, end) >= 0 || bytes.HasPrefix(end, b)) {
			t.Fatalf("PrefixEnd(%x) = %x", b, end)
		}
	})
}
