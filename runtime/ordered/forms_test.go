package ordered

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

// Named types, so that every test also shows that kinds of them are taken.
type (
	name   string
	blob   []byte
	count  int32
	size   uint16
	price  float64
	ratio  float32
	flag   bool
	uuid   [16]byte
	number int64
	word   uint64
)

// A form is one type with both its encodings, its values hidden behind any: the tests of the laws are written once.
type form struct {
	kind   Kind
	asc    func(b []byte, v any) []byte
	desc   func(b []byte, v any) []byte
	read   func(b []byte) (any, []byte, error)
	unread func(b []byte) (any, []byte, error) // descending
	equal  func(a, b any) bool
	values []any                  // ascending, no two equal
	random func(r *rand.Rand) any // of the whole type, small and close values often
	less   func(a, b any) bool
}

// newForm makes a form out of the four functions of a type.
func newForm[T any](k Kind, less func(a, b T) bool, asc, desc func([]byte, T) []byte, read, unread func([]byte) (T, []byte, error), random func(r *rand.Rand) T, values ...T) form {
	f := form{
		kind:   k,
		asc:    func(b []byte, v any) []byte { return asc(b, v.(T)) },
		desc:   func(b []byte, v any) []byte { return desc(b, v.(T)) },
		read:   func(b []byte) (any, []byte, error) { v, rest, err := read(b); return v, rest, err },
		unread: func(b []byte) (any, []byte, error) { v, rest, err := unread(b); return v, rest, err },
		less:   func(a, b any) bool { return less(a.(T), b.(T)) },
		random: func(r *rand.Rand) any { return random(r) },
	}
	f.equal = func(a, b any) bool { return !f.less(a, b) && !f.less(b, a) }
	for _, v := range values {
		f.values = append(f.values, v)
	}
	return f
}

func less[T interface {
	Signed | Unsigned | ~string | ~float32 | ~float64
}](a, b T) bool {
	return a < b || a != a && b == b // a NaN before all others
}

var (
	long  = strings.Repeat("x", 300)
	forms = []form{
		newForm(String, less[name], AppendString[name], AppendStringDesc[name], ReadString[name], ReadStringDesc[name], randomText[name],
			"", "\x00", "\x00\x00", "\x00\x01", "\x00\xfe", "\x00\xff", "\x00\xff\x00", "\x01", "\x01\x00", "a", "a\x00", "a\x00\x00", "a\x00\x01", "a\x00b",
			"a\x00\xff", "a\x01", "ab", "abcdefgh", "abcdefgh\x00", "abcdefghi", "a\xfe", "a\xff", "a\xff\x00", "a\xff\x01", "a\xff\xff", "b", name(long), name(long+"\x00"), name(long+"y"),
			"é", "日本", "\xfe", "\xff", "\xff\x00", "\xff\xfe", "\xff\xff"),
		newForm(Bytes, func(a, b blob) bool { return string(a) < string(b) }, AppendBytes[blob], AppendBytesDesc[blob], ReadBytes[blob], ReadBytesDesc[blob],
			func(r *rand.Rand) blob { return blob(randomText[string](r)) },
			nil, blob{0}, blob{0, 0}, blob{0, 1}, blob{0, 0xff}, blob{1}, blob("a"), blob("a\x00"), blob("a\x00b"), blob("a\x01"), blob("ab"), blob{0xff}, blob{0xff, 0}, blob{0xff, 0xff}),
		newForm(Int, less[number], AppendInt[number], AppendIntDesc[number], ReadInt[number], ReadIntDesc[number], func(r *rand.Rand) number { return number(randomBits(r)) },
			math.MinInt64, math.MinInt64+1, math.MinInt32-1, math.MinInt32, -65536, -257, -256, -255, -2, -1, 0, 1, 2, 127, 128, 255, 256, 65535, 65536, math.MaxInt32, math.MaxInt32+1, math.MaxInt64-1, math.MaxInt64),
		newForm(Int, less[count], AppendInt[count], AppendIntDesc[count], ReadInt[count], ReadIntDesc[count], func(r *rand.Rand) count { return count(randomBits(r)) },
			math.MinInt32, -1, 0, 1, math.MaxInt32),
		newForm(Uint, less[word], AppendUint[word], AppendUintDesc[word], ReadUint[word], ReadUintDesc[word], func(r *rand.Rand) word { return word(randomBits(r)) },
			0, 1, 2, 127, 128, 255, 256, 65535, 65536, math.MaxInt64, math.MaxInt64+1, math.MaxUint64-1, math.MaxUint64),
		newForm(Uint, less[size], AppendUint[size], AppendUintDesc[size], ReadUint[size], ReadUintDesc[size], func(r *rand.Rand) size { return size(randomBits(r)) },
			0, 1, 255, 256, math.MaxUint16),
		newForm(Float64, less[price], AppendFloat64[price], AppendFloat64Desc[price], ReadFloat64[price], ReadFloat64Desc[price], func(r *rand.Rand) price { return price(math.Float64frombits(randomBits(r))) },
			price(math.NaN()), price(math.Inf(-1)), -math.MaxFloat64, -1e300, -2, -1.0000000000000002, -1, -0.5, -2.2250738585072014e-308, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64,
			2.2250738585072014e-308, 0.5, 1, 1.0000000000000002, 2, 1e300, math.MaxFloat64, price(math.Inf(1))),
		newForm(Float32, less[ratio], AppendFloat32[ratio], AppendFloat32Desc[ratio], ReadFloat32[ratio], ReadFloat32Desc[ratio], func(r *rand.Rand) ratio { return ratio(math.Float32frombits(uint32(randomBits(r)))) },
			ratio(math.NaN()), ratio(math.Inf(-1)), -math.MaxFloat32, -1, -math.SmallestNonzeroFloat32, 0, math.SmallestNonzeroFloat32, 0.5, 1, math.MaxFloat32, ratio(math.Inf(1))),
		newForm(Bool, func(a, b flag) bool { return !bool(a) && bool(b) }, AppendBool[flag], AppendBoolDesc[flag], ReadBool[flag], ReadBoolDesc[flag], func(r *rand.Rand) flag { return r.IntN(2) == 1 },
			false, true),
		newForm(Time, time.Time.Before, AppendTime, AppendTimeDesc, ReadTime, ReadTimeDesc, randomTime,
			time.Unix(math.MinInt64/2, 0), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, time.Time{}.Add(1), time.Date(1677, 9, 21, 0, 12, 43, 0, time.UTC), time.Unix(-1, 0), time.Unix(-1, 999999999),
			time.Unix(0, 0), time.Unix(0, 1), time.Unix(0, 999999999), time.Unix(1, 0), time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC), time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC),
			time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Unix(math.MaxInt64/2, 999999999)),
		newForm(UUID, func(a, b uuid) bool { return string(a[:]) < string(b[:]) }, AppendUUID[uuid], AppendUUIDDesc[uuid], ReadUUID[uuid], ReadUUIDDesc[uuid],
			func(r *rand.Rand) (u uuid) { u[r.IntN(16)] = byte(randomBits(r)); return u },
			uuid{}, uuid{15: 1}, uuid{8: 1}, uuid{1, 2, 3}, uuid{0xff}, uuid{0xff, 0xff, 15: 0xff}),
	}
)

// randomBits returns bits of which few are random, at either end of the range, so that neighbours and borders are met.
func randomBits(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return r.Uint64()
	case 1:
		return r.Uint64() >> r.IntN(64)
	case 2:
		return ^(r.Uint64() >> r.IntN(64))
	}
	return 1<<r.IntN(64) + uint64(r.IntN(3)) - 1
}

func randomText[T ~string](r *rand.Rand) T {
	const bytes = "\x00\x00\x01\x02ab\xfe\xff\xff"
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = bytes[r.IntN(len(bytes))]
	}
	return T(b)
}

func randomTime(r *rand.Rand) time.Time {
	sec := int64(randomBits(r)) / 4
	ns := []int64{0, 1, 999999999, int64(r.IntN(1e9))}[r.IntN(4)]
	return time.Unix(sec, ns)
}

// times returns n, or with KIXX_CI set the count of a full run, or with KIXX_LONG ten times that.
func times(n, full int) int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return 10 * full
	case os.Getenv("KIXX_CI") != "":
		return full
	}
	return n
}
