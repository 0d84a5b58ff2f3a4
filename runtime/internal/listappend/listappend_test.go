package listappend

import (
	"slices"
	"testing"
)

func reads(key string, list ...int64) Op { return Op{Key: key, Read: list} }
func appends(key string, v int64) Op     { return Op{Key: key, Append: v} }

// txn returns a transaction that overlaps all others, unless a time is set.
func txn(ops ...Op) Txn { return Txn{Ops: ops, End: 1000} }

func at(begin, end int64, t Txn) Txn {
	t.Begin, t.End = begin, end
	return t
}

func aborted(t Txn) Txn {
	t.Outcome = Aborted
	return t
}

func TestCheckFindsEachAnomaly(t *testing.T) {
	for _, c := range []struct {
		name string
		txns []Txn
		want []string
	}{
		{"nothing", nil, nil},
		{"serial", []Txn{txn(appends("x", 1)), txn(reads("x", 1), appends("x", 2)), txn(reads("x", 1, 2))}, nil},
		{"own writes", []Txn{txn(reads("x"), appends("x", 1), reads("x", 1), appends("x", 2), reads("x", 1, 2)), txn(reads("x", 1, 2))}, nil},
		{"own writes not seen", []Txn{txn(appends("x", 1), reads("x")), txn(reads("x", 1))}, []string{"internal"}},
		{"G0", []Txn{txn(appends("x", 1), appends("y", 1)), txn(appends("x", 2), appends("y", 2)), txn(reads("x", 1, 2), reads("y", 2, 1))}, []string{"G0"}},
		{"G1a", []Txn{aborted(txn(appends("x", 1))), txn(reads("x", 1))}, []string{"G1a"}},
		{"G1b", []Txn{txn(appends("x", 1), appends("x", 2)), txn(reads("x", 1)), txn(reads("x", 1, 2))}, []string{"G-single", "G1b"}},
		{"G1c", []Txn{txn(appends("x", 1), reads("y", 1)), txn(appends("y", 1), reads("x", 1))}, []string{"G1c"}},
		{"lost update", []Txn{txn(reads("x"), appends("x", 1)), txn(reads("x"), appends("x", 2)), txn(reads("x", 1, 2))}, []string{"G-single"}},
		{"read skew", []Txn{txn(appends("x", 1), appends("y", 1)), txn(reads("x", 1), reads("y")), txn(reads("x", 1), reads("y", 1))}, []string{"G-single"}},
		{"write skew", []Txn{txn(reads("x"), appends("y", 1)), txn(reads("y"), appends("x", 1)), txn(reads("x", 1), reads("y", 1))}, []string{"G2"}},
		{"lost append", []Txn{txn(appends("x", 1)), txn(appends("x", 2)), txn(reads("x", 2))}, []string{"lost append"}},
		{"two orders", []Txn{txn(appends("x", 1)), txn(appends("x", 2)), txn(reads("x", 2)), txn(reads("x", 1, 2))}, []string{"G-single", "incompatible order"}},
		{"twice", []Txn{txn(appends("x", 1)), txn(reads("x", 1, 1))}, []string{"duplicate"}},
		{"from nowhere", []Txn{txn(reads("x", 1))}, []string{"garbage"}},
		{"stale read", []Txn{at(1, 2, txn(appends("x", 1))), at(3, 4, txn(reads("x"))), at(5, 6, txn(reads("x", 1)))}, []string{"G-single-realtime"}},
		{"stale read that overlaps", []Txn{at(1, 4, txn(appends("x", 1))), at(3, 4, txn(reads("x"))), at(5, 6, txn(reads("x", 1)))}, nil},
		{"unknown that was applied", []Txn{{Ops: []Op{appends("x", 1)}, Outcome: Unknown}, txn(reads("x", 1))}, nil},
		{"unknown that was not", []Txn{{Ops: []Op{appends("x", 1)}, Outcome: Unknown}, txn(reads("x"))}, nil},
		{"aborted", []Txn{aborted(txn(reads("x"), appends("x", 1))), txn(reads("x"))}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			found := Check(c.txns)
			for _, a := range found {
				got = append(got, a.Kind)
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, c.want) {
				t.Errorf("Check finds %q, want %q\n%v", got, c.want, found)
			}
		})
	}
}
