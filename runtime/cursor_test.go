package kixx_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// FuzzCursor hands a query cursors that a hostile client has made: of bytes, of text, and real ones of other queries
// with bytes changed. It must answer within its range or refuse, and never panic.
func FuzzCursor(f *testing.F) {
	items := memory(f).Items(f)
	shelf(f, items, 12)
	real := []kixx.Cursor{}
	for _, q := range []kixx.Query[*kinds.Item, string]{items.Query(), items.QueryByCategory("c1"), items.RangeByPrice().Everything(), items.RangeByCategoryPrice("c1").Everything().Reverse()} {
		page, err := q.Limit(2).Page(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		real = append(real, page.Next)
		raw, _ := base64.RawURLEncoding.DecodeString(string(page.Next))
		f.Add(raw, string(page.Next), uint8(0), uint16(0))
	}
	f.Add([]byte{1}, "", uint8(1), uint16(9))
	check := func(t *testing.T, c kixx.Cursor, from uint8) {
		page, err := items.QueryByCategory("c1").After(c).Page(t.Context())
		if err != nil && !errors.Is(err, kixx.ErrBadCursor) {
			t.Fatalf("After(%q): %v, want ErrBadCursor", c, err)
		}
		for _, it := range page.Items {
			if it.Category != "c1" {
				t.Fatalf("After(%q) left its range: %s of category %s", c, it.ID, it.Category)
			}
		}
		low := float64(from % 12)
		page, err = items.RangeByPrice().Between(low, low+3).Reverse().After(c).Page(t.Context())
		if err != nil && !errors.Is(err, kixx.ErrBadCursor) {
			t.Fatalf("After(%q): %v, want ErrBadCursor", c, err)
		}
		for _, it := range page.Items {
			if it.Price < low || it.Price > low+3 {
				t.Fatalf("After(%q) left its range: %s of price %v", c, it.ID, it.Price)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, text string, from uint8, flip uint16) {
		check(t, kixx.Cursor(base64.RawURLEncoding.EncodeToString(raw)), from)
		check(t, kixx.Cursor(text), from)
		for _, c := range real {
			b, _ := base64.RawURLEncoding.DecodeString(string(c))
			b[int(flip)%len(b)] ^= from | 1
			check(t, kixx.Cursor(base64.RawURLEncoding.EncodeToString(b)), from)
			// Sealed as it must be: a client that knows the format can do that where cursors are not signed.
			check(t, kixx.ForgeCursor(items.QueryByCategory("c1"), raw), from)
			check(t, kixx.ForgeCursor(items.RangeByPrice().Everything().Reverse(), raw), from)
		}
	})
}

func TestHostileCursors(t *testing.T) {
	items := memory(t).Items(t)
	shelf(t, items, 12)
	n := count(3_000, 300_000, 3_000_000)
	for i := range n {
		position := []byte(fmt.Sprintf("%x", i*7919))
		if i%3 == 0 {
			position = []byte(strings.Repeat(string(rune('a'+i%26)), i%40) + "\x00\x01" + fmt.Sprint(i))
		}
		q := items.QueryByCategory("c1")
		page, err := q.After(kixx.ForgeCursor(q, position)).Limit(3).Page(t.Context())
		if err != nil && !errors.Is(err, kixx.ErrBadCursor) {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			if it.Category != "c1" {
				t.Fatalf("a forged cursor with position %x left its range: %s", position, it.ID)
			}
		}
	}
	t.Logf("%d forged cursors", n)
}
