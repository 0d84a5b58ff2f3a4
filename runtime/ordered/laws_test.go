package ordered

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestOrderOfAllPairs(t *testing.T) {
	pairs := 0
	for _, f := range forms {
		for i, a := range f.values {
			for j, b := range f.values {
				pairs++
				if got, want := bytes.Compare(f.asc(nil, a), f.asc(nil, b)), compare(i, j); got != want {
					t.Errorf("%v: Compare(%#v, %#v) = %d, want %d", f.kind, a, b, got, want)
				}
				if got, want := bytes.Compare(f.desc(nil, a), f.desc(nil, b)), compare(j, i); got != want {
					t.Errorf("%v: Compare(%#v, %#v) = %d, want %d", f.kind|Desc, a, b, got, want)
				}
			}
		}
	}
	t.Logf("%d pairs, ascending and descending", pairs)
}

func TestNoEncodingIsAPrefixOfAnother(t *testing.T) {
	for _, f := range forms {
		for i, a := range f.values {
			for j, b := range f.values {
				if i != j && bytes.HasPrefix(f.asc(nil, b), f.asc(nil, a)) {
					t.Errorf("%v: %#v begins with %#v", f.kind, b, a)
				}
				if i != j && bytes.HasPrefix(f.desc(nil, b), f.desc(nil, a)) {
					t.Errorf("%v: %#v begins with %#v", f.kind|Desc, b, a)
				}
			}
		}
	}
}

func TestReadGivesBackWhatWasAppended(t *testing.T) {
	after := []byte("\x00\xff\x01") // looks like an escape
	for _, f := range forms {
		for _, v := range f.values {
			got, rest, err := f.read(append(f.asc(nil, v), after...))
			if err != nil || !f.equal(got, v) || !bytes.Equal(rest, after) {
				t.Errorf("%v: read(%#v) = %#v, rest %x, %v", f.kind, v, got, rest, err)
			}
			got, rest, err = f.unread(append(f.desc(nil, v), after...))
			if err != nil || !f.equal(got, v) || !bytes.Equal(rest, after) {
				t.Errorf("%v: read(%#v) = %#v, rest %x, %v", f.kind|Desc, v, got, rest, err)
			}
		}
	}
}

func TestAppendKeepsWhatWasThere(t *testing.T) {
	for _, f := range forms {
		for _, v := range f.values {
			for _, app := range []func([]byte, any) []byte{f.asc, f.desc} {
				got := app([]byte("before"), v)
				if want := append([]byte("before"), app(nil, v)...); !bytes.Equal(got, want) {
					t.Errorf("%v: append(before, %#v) = %x, want %x", f.kind, v, got, want)
				}
			}
		}
	}
}

func TestEveryProperPrefixIsRefused(t *testing.T) {
	for _, f := range forms {
		for _, v := range f.values {
			for _, d := range []struct {
				kind Kind
				key  []byte
				read func([]byte) (any, []byte, error)
			}{{f.kind, f.asc(nil, v), f.read}, {f.kind | Desc, f.desc(nil, v), f.unread}} {
				for n := range d.key {
					if got, rest, err := d.read(d.key[:n]); !errors.Is(err, ErrMalformed) || rest != nil {
						t.Errorf("%v: read(%x) of %#v = %#v, rest %x, %v; want ErrMalformed", d.kind, d.key[:n], v, got, rest, err)
					}
				}
			}
		}
	}
}

// TestRandomKeys compares keys of several components, each of a random type and direction, component by component.
func TestRandomKeys(t *testing.T) {
	n := times(50_000, 1_000_000)
	r := rand.New(rand.NewPCG(1, 2))
	equal := 0
	var x, y []byte
	for range n {
		x, y = x[:0], y[:0]
		want := 0
		for range 1 + r.IntN(4) {
			f := &forms[r.IntN(len(forms))]
			a, b := f.random(r), f.random(r)
			if r.IntN(2) == 0 {
				b = a
			}
			app, sign := f.asc, 1
			if r.IntN(2) == 0 {
				app, sign = f.desc, -1
			}
			if want == 0 && f.less(a, b) {
				want = -sign
			} else if want == 0 && f.less(b, a) {
				want = sign
			}
			x, y = app(x, a), app(y, b)
		}
		if got := bytes.Compare(x, y); got != want {
			t.Fatalf("Compare(%x, %x) = %d, want %d", x, y, got, want)
		}
		if want == 0 {
			equal++
		}
	}
	t.Logf("%d pairs of random keys, %d of them equal", n, equal)
}

func compare(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
