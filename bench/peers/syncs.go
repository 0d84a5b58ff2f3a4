package peers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Syncs counts the calls by which each durable peer of a plan tells the disk to keep what was written, under strace, and
// returns a table in Markdown.
func Syncs(p Plan) (string, error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return "", fmt.Errorf("strace counts the syncs: %w", err)
	}
	var b strings.Builder
	b.WriteString("| peer | writers | writes | syncs | writes per sync | by |\n| --- | ---: | ---: | ---: | ---: | --- |\n")
	for _, k := range p.Kinds {
		if k.InMemory || k.Empty {
			continue
		}
		for _, name := range []string{"set-sync-1", "set-sync-64"} {
			if err := countSyncs(&b, p, k, name); err != nil {
				return "", fmt.Errorf("%s: %s: %w", k.Name, name, err)
			}
		}
	}
	return b.String(), nil
}

// syncCalls are those that count.
var syncCalls = []string{"fsync", "fdatasync", "msync", "sync_file_range"}

// countSyncs adds a row about one operation: what a peer syncs when it is opened, loaded and closed is not in it.
func countSyncs(b *strings.Builder, p Plan, k Kind, operation string) error {
	op, err := FindOperation(operation)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(p.Dir, "kixx-syncs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	trace := filepath.Join(dir, "trace")
	c, err := start(k, "strace", "-f", "-qq", "-o", trace, "-e", "trace="+strings.Join(syncCalls, ","), "-e", "signal=none", "--")
	if err != nil {
		return err
	}
	db := filepath.Join(dir, "db")
	if err := os.Mkdir(db, 0o700); err != nil {
		return err
	}
	n := min(p.N, 2000)
	if _, err := c.ask(order{Do: "open", Dir: db, Options: Options{Durable: true}, N: n}); err != nil {
		return err
	}
	if _, err := c.ask(order{Do: "load", N: n}); err != nil {
		return err
	}
	if _, err := c.ask(order{Do: "learn"}); err != nil {
		return err
	}
	counts := func() (map[string]int, error) {
		text, err := os.ReadFile(trace)
		return countCalls(text), err
	}
	before, err := counts()
	if err != nil {
		return err
	}
	first, err := c.ask(order{Do: "measure", Operation: op.Name, Span: p.Span})
	if err != nil {
		return err
	}
	after, err := counts()
	if err != nil {
		return err
	}
	if _, err := c.ask(order{Do: "close"}); err != nil {
		return err
	}
	if err := c.end(); err != nil {
		return err
	}
	writes, syncs := first.Written-int64(n), 0
	var by []string
	for _, call := range syncCalls {
		if more := after[call] - before[call]; more > 0 {
			syncs += more
			by = append(by, call)
		}
	}
	if syncs == 0 {
		return errors.New("it does not sync")
	}
	fmt.Fprintf(b, "| %s | %d | %d | %d | %.1f | %s |\n", k.Name, op.Workers, writes, syncs, float64(writes)/float64(syncs), strings.Join(by, ", "))
	return nil
}

// call matches the beginning of a system call in what strace writes, not its end where it was cut in two.
var call = regexp.MustCompile(`(?m)^\d+ +(\w+)\(`)

func countCalls(trace []byte) map[string]int {
	counts := map[string]int{}
	for _, m := range call.FindAllSubmatch(trace, -1) {
		counts[string(m[1])]++
	}
	return counts
}
