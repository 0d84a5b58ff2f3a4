package ordered

import (
	"strings"
	"testing"
	"time"
)

// The key of the benchmarks: a category, a price, a time and an identifier.
var (
	benchCategory = "electronics"
	benchPrice    = 39.99
	benchTime     = time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC)
	benchID       = "item:123456"
)

func BenchmarkAppendKey(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 128)
	for b.Loop() {
		buf = AppendString(AppendTime(AppendFloat64(AppendString(buf[:0], benchCategory), benchPrice), benchTime), benchID)
	}
}

func BenchmarkAppendKeyDesc(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 128)
	for b.Loop() {
		buf = AppendString(AppendTimeDesc(AppendFloat64Desc(AppendString(buf[:0], benchCategory), benchPrice), benchTime), benchID)
	}
}

func BenchmarkReadKey(b *testing.B) {
	b.ReportAllocs()
	key := AppendString(AppendTime(AppendFloat64(AppendString(nil, benchCategory), benchPrice), benchTime), benchID)
	for b.Loop() {
		_, rest, _ := ReadString[string](key)
		_, rest, _ = ReadFloat64[float64](rest)
		_, rest, _ = ReadTime(rest)
		if _, _, err := ReadString[string](rest); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendString(b *testing.B) {
	for _, c := range []struct{ name, text string }{{"14", "item:123456789"}, {"1000", strings.Repeat("x", 1000)}, {"1000zeros", strings.Repeat("\x00", 1000)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 2048)
			for b.Loop() {
				buf = AppendString(buf[:0], c.text)
			}
		})
	}
}
