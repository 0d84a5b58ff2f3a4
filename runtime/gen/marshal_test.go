package gen

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// A price has a text. Less than nothing has none, and 13 is read as another one.
type price struct{ cents int }

var errNegative = errors.New("it is negative")

func (p price) MarshalText() ([]byte, error) {
	if p.cents < 0 {
		return nil, errNegative
	}
	return fmt.Appendf(nil, "%d", p.cents), nil
}

func (p *price) UnmarshalText(b []byte) error {
	if _, err := fmt.Sscanf(string(b), "%d", &p.cents); err != nil {
		return fmt.Errorf("%q is no price", b)
	}
	if p.cents == 13 {
		p.cents = 12
	}
	return nil
}

// A keeper keeps the bytes that it is given, and writes into them, which no type should do.
type keeper struct{ b []byte }

func (k keeper) MarshalBinary() ([]byte, error)     { return k.b, nil }
func (k *keeper) UnmarshalBinary(data []byte) error { k.b = data; return nil }
func (k keeper) MarshalJSON() ([]byte, error)       { return append([]byte(" "), k.b...), nil }
func (k *keeper) UnmarshalJSON(data []byte) error   { k.b = data; return nil }

func TestMarshaledValuesComeBack(t *testing.T) {
	addr := netip.MustParseAddr("fe80::1%eth0")
	b := AppendText(nil, &addr)
	if got, rest, err := ReadText[netip.Addr](append(b, 1)); err != nil || len(rest) != 1 || got != addr {
		t.Errorf("%v is read as %v, %v", addr, got, err)
	}
	site := url.URL{Scheme: "https", User: url.UserPassword("a", "b"), Host: "h", Path: "/p"}
	b = AppendBinary(nil, &site)
	if got, _, err := ReadBinary[url.URL](b); err != nil || !reflect.DeepEqual(got, site) {
		t.Errorf("%v is read as %v, %v", site, got, err)
	}
	k := keeper{[]byte(`{"a": [1, 2]}`)}
	b = AppendMarshaler(nil, &k)
	if got, _, err := ReadMarshaler[keeper](b); err != nil || string(got.b) != `{"a":[1,2]}` {
		t.Errorf("%s is read as %s, %v", k.b, got.b, err)
	}
	for _, read := range []func([]byte) error{
		func(b []byte) error { _, _, err := ReadText[price](b); return err },
		func(b []byte) error { _, _, err := ReadBinary[keeper](b); return err },
		func(b []byte) error { _, _, err := ReadMarshaler[keeper](b); return err },
	} {
		if err := read([]byte{isNil}); err != nil {
			t.Errorf("nil: %v", err)
		}
		for _, b := range [][]byte{{}, {1}, {0xA5, 'x'}} {
			if read(b) == nil {
				t.Errorf("%x is read", b)
			}
		}
	}
}

// What a type says of text that it cannot read may hold the text, which belongs into no message.
func TestErrorsOfUnmarshalingKeepValuesToThemselves(t *testing.T) {
	_, _, err := ReadText[price]([]byte("\xA6secret"))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestReadMarshaledKeepsNothingOfTheInput(t *testing.T) {
	b := AppendBinary(nil, keeper{[]byte("abc")})
	k, _, err := ReadBinary[keeper](b)
	if err != nil {
		t.Fatal(err)
	}
	k.b[0] = 'X'
	if again, _, _ := ReadBinary[keeper](b); string(again.b) != "abc" {
		t.Errorf("a change of the value has changed what it was read from: %s", again.b)
	}
}

func TestCanonRefusesWhatWouldComeBackOther(t *testing.T) {
	good := price{7}
	CanonText(&good, "Item.Price")
	if good != (price{7}) {
		t.Errorf("%v", good)
	}
	for _, bad := range []price{{-1}, {13}} {
		err := refusal(func() { CanonText(&bad, "Item.Price") })
		if err == nil || err.Field != "Item.Price" {
			t.Errorf("%v: %v, want a refusal that names the field", bad, err)
		}
		if CanonKeyText(&bad, "ID") == nil {
			t.Errorf("%v can be a key", bad)
		}
	}
	if err := refusal(func() { AppendText(nil, price{-1}) }); !errors.Is(err, errNegative) {
		t.Errorf("%v, want %v", err, errNegative)
	}
	for _, bad := range []string{"", "{", "1 2"} {
		if refusal(func() { CanonMarshaler(&keeper{[]byte(bad)}, "f") }) == nil {
			t.Errorf("%q is JSON", bad)
		}
	}
	long := new(big.Float).SetPrec(200).Quo(big.NewFloat(1).SetPrec(200), big.NewFloat(3).SetPrec(200))
	if refusal(func() { CanonText(long, "f") }) == nil {
		t.Errorf("a big.Float of 200 bits, which its text is not read back as, is stored")
	}
}

func TestClonesOfMarshaledValuesShareNothing(t *testing.T) {
	i := *new(big.Int).Lsh(big.NewInt(1), 100)
	c := CloneText(i)
	i.Bits()[0] = 99
	if c.Cmp(new(big.Int).Lsh(big.NewInt(1), 100)) != 0 {
		t.Errorf("the copy has changed with the original: %v", &c)
	}
	k := keeper{[]byte("1")}
	binary, json := CloneBinary(k), CloneMarshaler(k)
	k.b[0] = '2'
	if string(binary.b) != "1" || strings.TrimSpace(string(json.b)) != "1" {
		t.Errorf("the copies have changed with the original: %s %s", binary.b, json.b)
	}
	if bad := CloneText(price{-1}); bad != (price{-1}) {
		t.Errorf("what has no text becomes %v in a copy", bad)
	}
}

func TestEqualComparesWhatIsStored(t *testing.T) {
	a, b, bad := price{1}, price{2}, price{-1}
	if !EqualText(&a, &a) || EqualText(&a, &b) || EqualText(&bad, &bad) {
		t.Errorf("EqualText")
	}
	x, y := keeper{[]byte("1")}, keeper{[]byte("2")}
	if !EqualBinary(&x, &x) || EqualBinary(&x, &y) || !EqualMarshaler(&x, &x) || EqualMarshaler(&x, &y) {
		t.Errorf("EqualBinary, EqualMarshaler")
	}
}

func TestKeysOfMapsAreInOneOrder(t *testing.T) {
	m := map[price]int{{3}: 1, {20}: 2, {100}: 3}
	if got := SortedTexts(m); !slices.Equal(got, []price{{100}, {20}, {3}}) {
		t.Errorf("%v", got)
	}
	utc, zone := time.Unix(5, 0).UTC(), time.Unix(5, 0).In(time.FixedZone("z", 3600))
	if got := SortedTimes(map[time.Time]int{utc: 1, time.Unix(-1, 0): 2}); got[0].Unix() != -1 {
		t.Errorf("%v", got)
	}
	if got := SortedUUIDs(map[[16]byte]int{{2}: 1, {1}: 2, {15: 1}: 3}); got[0][15] != 1 || got[1][0] != 1 {
		t.Errorf("%v", got)
	}
	if got := CanonKeys(map[time.Time]string{zone: "x"}, CanonTimeKey, "f"); got[utc] != "x" || len(got) != 1 {
		t.Errorf("%v", got)
	}
	if refusal(func() { CanonKeys(map[time.Time]string{zone: "x", utc: "y"}, CanonTimeKey, "f") }) == nil {
		t.Errorf("two keys became one")
	}
	same := map[price]int{{3}: 1}
	if got := CanonKeys(same, CanonText[price], "f"); reflect.ValueOf(got).Pointer() != reflect.ValueOf(same).Pointer() {
		t.Errorf("a map with canonical keys was copied")
	}
	if CanonKeys(map[price]int(nil), CanonText[price], "f") != nil {
		t.Errorf("nil is no longer nil")
	}
}

func TestTextKeysAreInTheOrderOfTexts(t *testing.T) {
	a, b := AppendTextKey(nil, price{10}), AppendTextKey(nil, price{9})
	if bytes.Compare(a, b) >= 0 || bytes.Compare(AppendTextKeyDesc(nil, price{10}), AppendTextKeyDesc(nil, price{9})) <= 0 {
		t.Errorf("%x %x", a, b)
	}
	if v, rest, err := ReadTextKey[price](append(a, 5)); err != nil || v != (price{10}) || len(rest) != 1 {
		t.Errorf("%v %x %v", v, rest, err)
	}
	if _, _, err := ReadTextKey[price]([]byte("x")); err == nil {
		t.Errorf("half a key is read")
	}
	none := AppendTextKey(nil, price{-1})
	for i := range 300 {
		if bytes.Equal(none, AppendTextKey(nil, price{i})) {
			t.Errorf("what has no text is found as %d", i)
		}
	}
	if Text(price{4}) != "4" {
		t.Errorf("Text")
	}
}

func TestBoxedPointersKeepNil(t *testing.T) {
	read := func(b []byte) ([]int, []byte, error) { return ReadScalars(b, ReadInt[int]) }
	for _, c := range []struct {
		b    []byte
		want *[]int
	}{{[]byte{isNil}, nil}, {[]byte{0x91, isNil}, new([]int)}, {[]byte{0x91, 0x90}, &[]int{}}, {[]byte{0x91, 0x91, 7}, &[]int{7}}} {
		if got, _, err := ReadBoxed(c.b, read); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("ReadBoxed(%x) = %v, %v, want %v", c.b, got, err, c.want)
		}
	}
	for _, b := range [][]byte{{}, {0x90}, {0x92, 0x90, 0x90}, {5}} {
		if _, _, err := ReadBoxed(b, read); err == nil {
			t.Errorf("ReadBoxed(%x) is read", b)
		}
	}
}

func TestComplexNumbersComeBack(t *testing.T) {
	for _, c := range []complex128{0, 1, -1i, complex(1e300, -0.5)} {
		if got, rest, err := ReadComplex[complex128](AppendComplex(nil, c)); err != nil || len(rest) > 0 || got != c {
			t.Errorf("%v is read as %v, %v", c, got, err)
		}
	}
	small := complex64(complex(1.5, -2))
	if got, _, err := ReadComplex[complex64](AppendComplex(nil, small)); err != nil || got != small || !EqualComplex(&got, &small) {
		t.Errorf("%v is read as %v, %v", small, got, err)
	}
	if _, _, err := ReadComplex[complex64](AppendComplex(nil, complex(1e300, 0))); err == nil {
		t.Errorf("1e300 fits into a complex64")
	}
	if c, _, err := ReadComplex[complex128]([]byte{isNil}); c != 0 || err != nil {
		t.Errorf("nil: %v %v", c, err)
	}
	if _, _, err := ReadComplex[complex128]([]byte{0x91, 1}); err == nil {
		t.Errorf("one part is a complex number")
	}
}
