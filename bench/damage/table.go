package damage

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteTable writes the reports as a table in Markdown. The last column says how many documents a flip made wrong or
// missing in silence: at half of the silent flips, and at the worst.
func WriteTable(w io.Writer, reports []*Report) error {
	var b strings.Builder
	b.WriteString("| store | version | options | bytes | a flip every | flips |")
	for _, o := range Outcomes {
		fmt.Fprintf(&b, " %s |", o)
	}
	b.WriteString(" documents hit |\n| --- | --- | --- | ---: | ---: | ---: |" + strings.Repeat(" ---: |", len(Outcomes)+1) + "\n")
	for _, r := range reports {
		size := 0
		for _, f := range r.Files {
			size += f.Bytes
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %d |", r.Peer, r.Version, cmp.Or(r.Options, "default"), size, r.Every, len(r.Results))
		for _, o := range Outcomes {
			fmt.Fprintf(&b, " %s |", share(r.Counts[o], len(r.Results)))
		}
		fmt.Fprintf(&b, " %s |\n", hit(r.Results))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// share returns n, and how many in a hundred of all that is. A few are never shown as none, or as all.
func share(n, all int) string {
	switch percent := float64(n) / float64(max(all, 1)) * 100; {
	case n == 0:
		return "0"
	case percent < 1:
		return fmt.Sprintf("%d (<1 %%)", n)
	case n < all && percent > 99:
		return fmt.Sprintf("%d (>99 %%)", n)
	default:
		return fmt.Sprintf("%d (%.0f %%)", n, percent)
	}
}

// hit returns the median and the most documents that one flip has hit in silence.
func hit(results []Result) string {
	var n []int
	for _, r := range results {
		if r.Documents > 0 {
			n = append(n, r.Documents)
		}
	}
	if len(n) == 0 {
		return "-"
	}
	slices.Sort(n)
	return fmt.Sprintf("%d, at most %d", n[len(n)/2], n[len(n)-1])
}
