package gen

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
)

func TestGoldenTimes(t *testing.T) {
	for _, row := range []struct {
		t    time.Time
		want string
	}{
		{time.Unix(0, 0), "d6ff00000000"},
		{time.Unix(1, 0), "d6ff00000001"},
		{time.Unix(1<<32-1, 0), "d6ffffffffff"},
		{time.Unix(1<<32, 0), "d7ff0000000100000000"},
		{time.Unix(0, 1), "d7ff0000000400000000"},
		{time.Unix(1<<34-1, 999999999), "d7ffee6b27ffffffffff"},
		{time.Unix(1<<34, 0), "c70cff000000000000000400000000"},
		{time.Unix(-1, 999999999), "c70cff3b9ac9ffffffffffffffffff"},
		{time.Time{}, "c70cff00000000fffffff1886e0900"},
		{time.Date(2026, 1, 2, 15, 4, 5, 6, time.FixedZone("", 3600)), "d7ff000000186957d055"},
		{time.Unix(math.MaxInt64, 999999999), "c70cff3b9ac9ff7fffffffffffffff"},
		{time.Unix(math.MinInt64, 0), "c70cff000000008000000000000000"},
	} {
		if got := hex.EncodeToString(AppendTime(nil, row.t)); got != row.want {
			t.Errorf("AppendTime(%v) = %s, want %s", row.t, got, row.want)
		}
	}
}

func TestEveryInstantComesBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	instants := []time.Time{{}, time.Now(), time.Unix(math.MaxInt64, 999999999), time.Unix(math.MinInt64, 0), time.Unix(1<<34, 1), time.Unix(1<<34-1, 1)}
	for range times(10_000, 1_000_000) {
		instants = append(instants, time.Unix(int64(r.Uint64())>>r.IntN(64), r.Int64N(1e9)))
	}
	for _, at := range instants {
		b := AppendTime(nil, at)
		got, rest, err := ReadTime(append(b[:len(b):len(b)], 0xC1))
		if err != nil || len(rest) != 1 || got != CanonTime(at) {
			t.Fatalf("%v is read back as %v, %d bytes are left, error %v", at, got, len(rest), err)
		}
		if !got.Equal(at) || got.Location() != time.UTC {
			t.Fatalf("%v is read back as %v", at, got)
		}
		if theirs, _, err := msgp.ReadTimeUTCBytes(b); err != nil || !theirs.Equal(at) {
			t.Fatalf("package msgp reads %v as %v, error %v", at, theirs, err)
		}
		if got, _, err := ReadTime(msgp.AppendTime(nil, at)); err != nil || got != CanonTime(at) {
			t.Fatalf("the extension of package msgp for %v is read as %v, error %v", at, got, err)
		}
		if at.Year() >= 1 && at.Year() <= 9999 {
			if got, _, err := ReadTime(msgp.AppendTimeExt(nil, at)); err != nil || got != CanonTime(at) {
				t.Fatalf("the timestamp that package msgp writes for %v is read as %v, error %v", at, got, err)
			}
		}
	}
	t.Logf("%d instants", len(instants))
}

func TestTimesOfOneInstantAreTheSameBytes(t *testing.T) {
	at := time.Now()
	if a, b := AppendTime(nil, at), AppendTime(nil, at.UTC().Round(0)); !bytes.Equal(a, b) {
		t.Errorf("%x and %x are one instant", a, b)
	}
	if CanonTime(at) != CanonTime(at.In(time.FixedZone("x", 60))) {
		t.Errorf("CanonTime tells locations apart")
	}
}
