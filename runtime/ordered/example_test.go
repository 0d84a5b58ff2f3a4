package ordered_test

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/kixxgen/kixxgen/runtime/ordered"
)

func Example() {
	// Category ascending, price descending.
	key := func(category string, price float64) []byte {
		return ordered.AppendFloat64Desc(ordered.AppendString(nil, category), price)
	}
	keys := [][]byte{key("toys", 5), key("books", 10), key("books", 12.5), key("book", 1)}
	slices.SortFunc(keys, bytes.Compare)
	for _, k := range keys {
		fmt.Println(ordered.Format(k, ordered.String, ordered.Float64|ordered.Desc))
	}
	// Output:
	// ("book", 1)
	// ("books", 12.5)
	// ("books", 10)
	// ("toys", 5)
}

func ExamplePrefixEnd() {
	lo := ordered.AppendString(nil, "books") // all keys whose first component is "books"
	hi := ordered.PrefixEnd(nil, lo)
	fmt.Printf("%q up to %q\n", lo, hi)
	// Output: "books\x00\x01" up to "books\x00\x02"
}

func ExampleAppendStringPrefix() {
	lo := ordered.AppendStringPrefix(nil, "boo") // all keys whose first component begins with "boo"
	hi := ordered.PrefixEnd(nil, lo)
	book := ordered.AppendString(nil, "book")
	fmt.Println(bytes.Compare(lo, book) <= 0 && bytes.Compare(book, hi) < 0)
	// Output: true
}

func ExampleReadString() {
	key := ordered.AppendTimeDesc(ordered.AppendString(nil, "a\x00b"), time.Unix(1, 5))
	fmt.Printf("% X\n", key)
	name, rest, err := ordered.ReadString[string](key)
	fmt.Printf("%q %v\n", name, err)
	at, rest, err := ordered.ReadTimeDesc(rest)
	fmt.Println(at, len(rest), err)
	_, _, err = ordered.ReadInt[int8](ordered.AppendInt(nil, 300))
	fmt.Println(err)
	// Output:
	// 61 00 FF 62 00 01 7F FF FF FF FF FF FF FE FF FF FF FA
	// "a\x00b" <nil>
	// 1970-01-01 00:00:01.000000005 +0000 UTC 0 <nil>
	// ordered: int, byte 0: 300 does not fit into the type of the field: malformed key
}

func ExampleFormat() {
	key := ordered.AppendInt(ordered.AppendString(nil, "books"), -3)
	fmt.Println(ordered.Format(key, ordered.String, ordered.Int))
	fmt.Println(ordered.Format(key, ordered.String, ordered.Time))
	// Output:
	// ("books", -3)
	// ("books", 0x7ffffffffffffffd)
}
