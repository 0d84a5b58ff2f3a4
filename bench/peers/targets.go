package peers

import (
	"fmt"
	"math"
	"strings"
)

// A target is a figure that is to be reached, as a ratio of figures of one run.
type target struct {
	what   string
	n      int // documents; 0: as many as the first table has
	most   float64
	least  float64
	figure func(t *tables, n int) float64
}

// over returns what kixx takes divided by what a peer takes, by processor time.
func over(peer, operation string) func(t *tables, n int) float64 {
	return func(t *tables, n int) float64 { return t.ratio("kixx", peer, operation, n, cpu) }
}

// under returns what a peer takes divided by what kixx takes.
func under(peer, operation string, f figure) func(t *tables, n int) float64 {
	return func(t *tables, n int) float64 { return t.ratio(peer, "kixx", operation, n, f) }
}

// allocated returns how often kixx allocates, without what the harness does.
func allocated(operation string) func(t *tables, n int) float64 {
	return func(t *tables, n int) float64 {
		return math.Round(t.typical("kixx", operation, n, allocs) - t.typical("harness", operation, n, allocs))
	}
}

// against returns what one operation of kixx takes, divided by what another one does.
func against(a, b string) func(t *tables, n int) float64 {
	return func(t *tables, n int) float64 { return t.own(a, n, cpu) / t.own(b, n, cpu) }
}

// sized returns a value of kixx, divided.
func sized(name string, by func(m *Meta) float64) func(t *tables, n int) float64 {
	return func(t *tables, n int) float64 {
		for _, m := range t.metas {
			if m.N == n {
				return t.typical("kixx", name, n, value) / by(m)
			}
		}
		return math.NaN()
	}
}

const million = 1_000_000

var targets = []target{
	{what: "Get, beside pebble + otter", most: 1.1, figure: over("pebble+otter", "get")},
	{what: "Get, sqlc over SQLite beside it", least: 7, figure: under("sqlc", "get", cpu)},
	{what: "Get, allocations", most: 3, figure: allocated("get")},
	{what: "Get beside Peek", least: 4, figure: against("get", "peek")},
	{what: "Peek, allocations", most: 0, figure: allocated("peek")},
	{what: "page of 20, beside pebble + otter", most: 0.45, figure: over("pebble+otter", "page")},
	{what: "page of 20, sqlc over SQLite beside it", least: 9, figure: under("sqlc", "page", cpu)},
	{what: "page of 20, allocations", most: 45, figure: allocated("page")},
	{what: "deep page, beside pebble + otter", most: 0.45, figure: over("pebble+otter", "deep")},
	{what: "deep page, sqlc over SQLite beside it", least: 9, figure: under("sqlc", "deep", cpu)},
	{what: "deep page, beside a first page", most: 1.2, figure: against("deep", "page")},
	{what: "scan, beside pebble + otter", most: 0.8, figure: over("pebble+otter", "scan")},
	{what: "Set, no sync, beside pebble + otter", most: 0.85, figure: over("pebble+otter", "set")},
	{what: "Set, no sync, sqlc over SQLite beside it", least: 4.5, figure: under("sqlc", "set", cpu)},
	{what: "Update, no sync, beside pebble + otter", most: 0.7, figure: over("pebble+otter", "update")},
	{what: "Update, no sync, sqlc over SQLite beside it", least: 4.5, figure: under("sqlc", "update", cpu)},
	{what: "durable Set, 1 writer, beside append + fdatasync, time", most: 1.1, figure: func(t *tables, n int) float64 { return t.ratio("kixx", "append", "set-sync-1", n, wall) }},
	{what: "durable Set, 64 writers, pebble beside it, time", least: 1.3, figure: under("pebble", "set-sync-64", wall)},
	{what: "the same where a sync takes 1 ms longer", least: 1.7, figure: under("pebble", "set-sync-64-slow", wall)},
	{what: "durable Set, 64 writers, SQLite beside it, time", least: 7, figure: under("sqlite", "set-sync-64", wall)},
	{what: "open after a clean close, ms", n: million, most: 10, figure: func(t *tables, n int) float64 { return t.typical("kixx", "open", n, wall) / 1e6 }},
	{what: "open after kill -9, ms", n: million, most: 500, figure: func(t *tables, n int) float64 { return t.typical("kixx", "open-crash", n, wall) / 1e6 }},
	{what: "heap after a collection, above the caches, MB", n: million, most: 60, figure: sized("heap-cold-above", func(*Meta) float64 { return 1e6 })},
	{what: "disk after Compact, beside the JSON", n: million, most: 1.35, figure: sized("disk-compact", func(m *Meta) float64 { return float64(m.JSON) })},
}

// Targets returns a table in Markdown of what is to be reached and was.
func Targets(results []Result) string {
	t := newTables(results)
	var b strings.Builder
	b.WriteString("| what | documents | figure | target | |\n| --- | ---: | ---: | ---: | --- |\n")
	for _, goal := range targets {
		n := goal.n
		if n == 0 {
			n = 100_000
		}
		got := goal.figure(t, n)
		want, met := fmt.Sprintf("≤ %v", goal.most), got <= goal.most
		if goal.least > 0 {
			want, met = fmt.Sprintf("≥ %v", goal.least), got >= goal.least
		}
		said := "met"
		switch {
		case math.IsNaN(got):
			said = "not measured"
		case !met:
			said = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", goal.what, thousands(n), times(got), want, said)
	}
	return b.String()
}
