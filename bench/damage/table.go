package damage

import (
	"cmp"
	"fmt"
	"io"
	"strings"
)

// WriteTable writes the reports as a table in Markdown.
func WriteTable(w io.Writer, reports []*Report) error {
	var b strings.Builder
	b.WriteString("| store | version | options | bytes | a flip every | flips |")
	for _, o := range Outcomes {
		fmt.Fprintf(&b, " %s |", o)
	}
	b.WriteString("\n| --- | --- | --- | ---: | ---: | ---: |" + strings.Repeat(" ---: |", len(Outcomes)) + "\n")
	for _, r := range reports {
		size := 0
		for _, f := range r.Files {
			size += f.Bytes
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %d |", r.Peer, r.Version, cmp.Or(r.Options, "default"), size, r.Every, len(r.Results))
		for _, o := range Outcomes {
			fmt.Fprintf(&b, " %s |", share(r.Counts[o], len(r.Results)))
		}
		b.WriteString("\n")
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
