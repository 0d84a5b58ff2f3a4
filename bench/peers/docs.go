package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sections are the parts of documents that are made of results, by the name that stands in the document:
//
//	<!-- begin NAME -->
//	<!-- end NAME -->
func Sections(results []Result) map[string]string {
	return map[string]string{"targets": Targets(results), "tables": Report(results), "short": Short(results), "peers": Versions(results), "machine": machine(results)}
}

// Fill returns a document with its sections replaced. A section that it does not have is left out; one that is not among
// sections stays.
func Fill(document string, sections map[string]string) (string, error) {
	for name, text := range sections {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
		before, rest, ok := strings.Cut(document, begin)
		if !ok {
			continue
		}
		_, after, ok := strings.Cut(rest, end)
		if !ok {
			return "", fmt.Errorf("%q is not followed by %q", begin, end)
		}
		document = before + begin + strings.TrimSpace(text) + "\n" + end + after
	}
	return document, nil
}

// ReadAll reads the files of results of a directory.
func ReadAll(dir string) (all []Result, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there are no results in %s: %w", dir, os.ErrNotExist)
	}
	for _, file := range files {
		list, err := ReadResults(file)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// Short returns the table of the README: how many times the processor time of kixx a peer takes, with 100,000 documents or
// as many as there are.
func Short(results []Result) string {
	t := newTables(results)
	n := 100_000
	if t.count(n) == 0 && len(t.sizes) > 0 {
		n = t.sizes[0]
	}
	columns := []column{{"get", "Get"}, {"page", "page of 20"}, {"scan", "scan"}, {"set", "Set"}, {"update", "Update"}, {"set-sync-64", "64 durable writers"}}
	var b strings.Builder
	var rows []Kind
	for _, k := range t.peers {
		if t.has(k.Name, n) && !k.Empty {
			rows = append(rows, k)
		}
	}
	t.writeRows(&b, rows, columns, func(peer, op string) string {
		if peer == "kixx" {
			return duration(t.typical(peer, op, n, cpu))
		}
		if x := times(t.ratio(peer, "kixx", op, n, cpu)); x != "–" {
			return x + "×"
		}
		return "–"
	})
	return b.String()
}

// Versions returns a table of the peers, what they are and how they are used.
func Versions(results []Result) string {
	t := newTables(results)
	var b strings.Builder
	b.WriteString("| | module | how |\n| --- | --- | --- |\n")
	for _, k := range t.peers {
		module := k.Module
		for _, m := range t.metas {
			if v := m.Versions[k.Module]; v != "" {
				module = k.Module + " " + v
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", k.Name, module, k.How)
	}
	return b.String()
}

// machine says where the results come from, a line for each run.
func machine(results []Result) string {
	var b strings.Builder
	for _, r := range results {
		if m := r.Meta; m != nil {
			fmt.Fprintf(&b, "- %s documents: %s, %s on %s, %s, %d cores; %d turns of %s for each peer and operation; the documents are %.1f MB of JSON\n",
				thousands(m.N), m.Date, m.Go, m.System, m.CPU, m.Cores, m.Rounds, m.Span, float64(m.JSON)/1e6)
		}
	}
	return b.String()
}
