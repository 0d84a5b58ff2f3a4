package peers

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Chart draws the processor time of operations, as bars whose length is its logarithm, in SVG. It shows the most documents
// that most peers were measured with.
func Chart(results []Result) string {
	t := newTables(results)
	n := 0
	for _, size := range t.sizes {
		if t.count(size) >= t.count(n) {
			n = size
		}
	}
	panels := []column{{"get", "Get"}, {"page", "Page of 20"}, {"scan", "Scan, per document"}, {"set", "Set, no sync"}, {"update", "Update, no sync"}, {"set-sync-64", "Durable Set, 64 writers"}}
	const (
		columns, width, row, label, bar = 2, 480, 17, 92, 290
		top, gap                        = 52, 26
	)
	height := 0
	var b strings.Builder
	y := []int{top, top}
	for i, p := range panels {
		at := i % columns
		x := at*(width+20) + 10
		fmt.Fprintf(&b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", x, y[at], html.EscapeString(p.title))
		y[at] += 8
		low, high := math.Inf(1), math.Inf(-1)
		for _, k := range t.peers {
			if v := t.typical(k.Name, p.operation, n, cpu); !math.IsNaN(v) && !k.Empty {
				low, high = min(low, v), max(high, v)
			}
		}
		for _, k := range t.peers {
			v := t.typical(k.Name, p.operation, n, cpu)
			if math.IsNaN(v) || k.Empty {
				continue
			}
			// The shortest bar is a tenth of the longest: lengths are logarithms.
			length := float64(bar)
			if high > low {
				length = bar * (0.1 + 0.9*math.Log(v/low)/math.Log(high/low))
			}
			class := "peer"
			switch {
			case k.Name == "kixx":
				class = "kixx"
			case k.Floor:
				class = "floor"
			}
			fmt.Fprintf(&b, `<text class="name" x="%d" y="%d">%s</text><rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/><text class="value" x="%.1f" y="%d">%s</text>`+"\n",
				x+label-6, y[at]+row-5, html.EscapeString(k.Name), class, x+label, y[at]+2, length, row-4, float64(x+label)+length+6, y[at]+row-5, duration(v))
			y[at] += row
		}
		y[at] += gap
		height = max(height, y[at])
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-label="Processor time per operation">
<style>
svg { background: #ffffff; font-family: system-ui, sans-serif; font-size: 11px }
text { fill: #24292f } .title { font-size: 13px; font-weight: 600 } .head { font-size: 15px; font-weight: 600 } .name { text-anchor: end } .value { fill: #57606a }
.kixx { fill: #0969da } .peer { fill: #afb8c1 } .floor { fill: #d8dee4 }
</style>
<text class="head" x="10" y="24">Processor time per operation, %[3]s documents (logarithmic)</text>
%[4]s</svg>
`, columns*(width+20), height, thousands(n), b.String())
}

// count returns how many peers have results of n documents.
func (t *tables) count(n int) (count int) {
	for _, k := range t.peers {
		if t.has(k.Name, n) {
			count++
		}
	}
	return count
}
