package peers

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

type key struct {
	peer, operation string
	n               int
}

// tables is what a report is made of.
type tables struct {
	by    map[key][]Result
	sizes []int
	peers []Kind
	metas []*Meta
}

func newTables(results []Result) *tables {
	t := &tables{by: map[key][]Result{}}
	for _, r := range results {
		if r.Meta != nil {
			t.metas = append(t.metas, r.Meta)
			continue
		}
		t.by[key{r.Peer, r.Operation, r.N}] = append(t.by[key{r.Peer, r.Operation, r.N}], r)
		if !slices.Contains(t.sizes, r.N) {
			t.sizes = append(t.sizes, r.N)
		}
	}
	slices.Sort(t.sizes)
	for _, k := range known() {
		for _, n := range t.sizes {
			if t.has(k.Name, n) {
				t.peers = append(t.peers, k)
				break
			}
		}
	}
	return t
}

func (t *tables) has(peer string, n int) bool {
	for k := range t.by {
		if k.peer == peer && k.n == n {
			return true
		}
	}
	return false
}

// A figure is one of what was measured.
type figure func(r Result) float64

func wall(r Result) float64   { return r.Measured.Wall }
func cpu(r Result) float64    { return r.Measured.CPU }
func allocs(r Result) float64 { return r.Measured.Allocs }
func value(r Result) float64  { return r.Value }

// typical returns the median of the rounds, NaN if there are none; of an operation that writes it returns the mean of all that was
// done in them, since work in the background that writes make falls into few of the rounds.
func (t *tables) typical(peer, operation string, n int, f figure) float64 {
	var list []float64
	var sum, count float64
	for _, r := range t.by[key{peer, operation, n}] {
		list = append(list, f(r))
		if r.Measured != nil {
			sum, count = sum+f(r)*float64(r.Measured.Count), count+float64(r.Measured.Count)
		}
	}
	if writes(operation) && count > 0 {
		return sum / count
	}
	return median(list)
}

// writes reports whether an operation writes.
func writes(operation string) bool {
	return strings.HasPrefix(operation, "set") || operation == "update" || strings.HasPrefix(operation, "ycsb")
}

// own returns what an operation of kixx takes without what measuring does.
func (t *tables) own(operation string, n int, f figure) float64 {
	x := t.typical("kixx", operation, n, f)
	if h := t.typical("harness", operation, n, f); !math.IsNaN(h) {
		x -= h
	}
	return x
}

// ratio returns what a takes divided by what b takes: the median over the rounds, each compared with itself, or that of the means
// of an operation that writes.
func (t *tables) ratio(a, b, operation string, n int, f figure) float64 {
	if writes(operation) {
		return t.typical(a, operation, n, f) / t.typical(b, operation, n, f)
	}
	var list []float64
	for _, x := range t.by[key{a, operation, n}] {
		for _, y := range t.by[key{b, operation, n}] {
			if x.Round == y.Round {
				list = append(list, f(x)/f(y))
			}
		}
	}
	return median(list)
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	slices.Sort(list)
	mid := len(list) / 2
	if len(list)%2 == 0 {
		return (list[mid-1] + list[mid]) / 2
	}
	return list[mid]
}

// duration returns nanoseconds as one reads them; "–" if there are none.
func duration(ns float64) string {
	switch {
	case math.IsNaN(ns):
		return "–"
	case ns < 1000:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 10_000:
		return fmt.Sprintf("%.2f µs", ns/1e3)
	case ns < 1e6:
		return fmt.Sprintf("%.0f µs", ns/1e3)
	case ns < 10e6:
		return fmt.Sprintf("%.1f ms", ns/1e6)
	case ns < 1e9:
		return fmt.Sprintf("%.0f ms", ns/1e6)
	}
	return fmt.Sprintf("%.1f s", ns/1e9)
}

func times(x float64) string {
	switch {
	case math.IsNaN(x):
		return "–"
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func megabytes(bytes float64) string {
	if math.IsNaN(bytes) {
		return "–"
	}
	return fmt.Sprintf("%.0f", bytes/1e6)
}

func plainNumber(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.0f", x)
}

// A column is one of a table whose rows are peers.
type column struct {
	operation string
	title     string
}

// short are the operations of the first tables.
var short = []column{{"load", "load, per document"}, {"get", "Get"}, {"get-2", "Get, 2 goroutines"}, {"page", "page of 20"}, {"deep", "deep page"}, {"scan", "scan, per document"},
	{"set", "Set"}, {"update", "Update"}, {"set-sync-1", "durable Set, 1 writer"}, {"set-sync-64", "durable Set, 64 writers"}}

var mixes = []column{{"ycsb-a", "A"}, {"ycsb-b", "B"}, {"ycsb-c", "C"}, {"ycsb-d", "D"}, {"ycsb-e", "E"}, {"ycsb-f", "F"}}

// Report returns the tables of results in Markdown.
func Report(results []Result) string {
	t := newTables(results)
	var b strings.Builder
	for _, n := range t.sizes {
		fmt.Fprintf(&b, "## %s documents\n\n", thousands(n))
		b.WriteString("Processor time per operation, of all threads of the process, background work included:\n\n")
		t.write(&b, n, short, func(peer, op string) string { return duration(t.typical(peer, op, n, cpu)) })
		b.WriteString("\nHow many times what kixx takes, by processor time, in the same round:\n\n")
		t.write(&b, n, short, func(peer, op string) string { return times(t.ratio(peer, "kixx", op, n, cpu)) })
		b.WriteString("\nTime per operation, of all goroutines together:\n\n")
		t.write(&b, n, short, func(peer, op string) string { return duration(t.typical(peer, op, n, wall)) })
		b.WriteString("\nThe mixes of YCSB, processor time per operation, two goroutines:\n\n")
		t.write(&b, n, mixes, func(peer, op string) string { return duration(t.typical(peer, op, n, cpu)) })
		b.WriteString("\nMore:\n\n")
		t.write(&b, n, []column{{"peek", "Peek, processor time"}, {"get-cold", "Get, cache a tenth, processor time"}, {"set-sync-64-slow", "64 writers, slow syncs"}, {"open", "open"}, {"open-crash", "open after kill -9"}},
			func(peer, op string) string {
				if op == "peek" || op == "get-cold" {
					return duration(t.typical(peer, op, n, cpu))
				}
				return duration(t.typical(peer, op, n, wall))
			})
		b.WriteString("\nAllocations per operation:\n\n")
		t.write(&b, n, []column{{"get", "Get"}, {"peek", "Peek"}, {"page", "page of 20"}, {"set", "Set"}, {"update", "Update"}}, func(peer, op string) string { return plainNumber(t.typical(peer, op, n, allocs)) })
		b.WriteString("\nMegabytes:\n\n")
		t.write(&b, n, []column{{"heap", "heap"}, {"rss", "resident, not of files"}, {"disk", "disk after the load"}, {"disk-end", "disk after the writes"}}, func(peer, op string) string { return megabytes(t.typical(peer, op, n, value)) })
		b.WriteString("\n")
	}
	if len(t.sizes) > 1 {
		fmt.Fprintf(&b, "## Growth\n\nExponents of processor time from %s to %s documents, by least squares over the logarithms: 0 says that an operation costs the same, 1 that it costs as many times more as there are documents.\n\n",
			thousands(t.sizes[0]), thousands(t.sizes[len(t.sizes)-1]))
		t.writeRows(&b, t.peers, append(short, mixes...), func(peer, op string) string { return exponent(t, peer, op) })
		b.WriteString("\n")
	}
	return b.String()
}

// exponent returns the slope of the logarithms of processor time and documents.
func exponent(t *tables, peer, op string) string {
	var xs, ys []float64
	for _, n := range t.sizes {
		if y := t.typical(peer, op, n, cpu); !math.IsNaN(y) {
			xs, ys = append(xs, math.Log(float64(n))), append(ys, math.Log(y))
		}
	}
	if len(xs) < 3 {
		return "–"
	}
	var sx, sy, sxx, sxy float64
	for i := range xs {
		sx, sy, sxx, sxy = sx+xs[i], sy+ys[i], sxx+xs[i]*xs[i], sxy+xs[i]*ys[i]
	}
	n := float64(len(xs))
	return fmt.Sprintf("%.2f", (n*sxy-sx*sy)/(n*sxx-sx*sx))
}

// write writes a table of the peers that have results of n documents.
func (t *tables) write(b *strings.Builder, n int, columns []column, cell func(peer, operation string) string) {
	var rows []Kind
	for _, k := range t.peers {
		if t.has(k.Name, n) {
			rows = append(rows, k)
		}
	}
	t.writeRows(b, rows, columns, cell)
}

// writeRows leaves out columns and rows that are empty.
func (t *tables) writeRows(b *strings.Builder, rows []Kind, columns []column, cell func(peer, operation string) string) {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return !slices.ContainsFunc(rows, func(k Kind) bool { return cell(k.Name, c.operation) != "–" })
	})
	b.WriteString("| |")
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", c.title)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(columns)) + "\n")
	for _, k := range rows {
		cells := make([]string, len(columns))
		empty := true
		for i, c := range columns {
			cells[i] = cell(k.Name, c.operation)
			empty = empty && cells[i] == "–"
		}
		if !empty {
			fmt.Fprintf(b, "| %s | %s |\n", k.Name, strings.Join(cells, " | "))
		}
	}
}

// thousands returns n with a comma between thousands.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
