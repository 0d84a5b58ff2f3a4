package kixxgen_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/promises.md names is there, and what the runs have printed that the page refers to belongs to a row of
// it, with nothing lost or wrong but in the control.
func TestPromisesNameTestsAndCounts(t *testing.T) {
	page, err := os.ReadFile("docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := make(map[string]bool)
	var files []string
	for _, dir := range []string{"runtime", "runtime/store/filestore", "runtime/store/pgstore", "runtime/store/etcdstore/e2e", "runtime/store/tikvstore"} {
		more, err := filepath.Glob(dir + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(src, -1) {
			tests[string(m[1])] = true
		}
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1)
	if len(named) < 15 {
		t.Fatalf("docs/promises.md names %d tests", len(named))
	}
	for _, m := range named {
		if !tests[string(m[1])] {
			t.Errorf("docs/promises.md names %s, which is not there", m[1])
		}
	}
	rows := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllSubmatch(page, -1) {
		rows[string(m[1])] = true
	}
	for _, name := range []string{"docs/counts-ci.jsonl", "docs/counts-long.jsonl"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(bytes.NewReader(b))
		for n := 1; lines.Scan(); n++ {
			var count struct {
				Row                  json.Number
				Test                 string
				Lost, Wrong, Missing int
			}
			if err := json.Unmarshal(lines.Bytes(), &count); err != nil {
				t.Errorf("%s:%d: %v", name, n, err)
				continue
			}
			if test, _, _ := strings.Cut(count.Test, "/"); !rows[count.Row.String()] || !tests[test] {
				t.Errorf("%s:%d: row %s and test %s: docs/promises.md has no such row, or there is no such test", name, n, count.Row, count.Test)
			}
			control := strings.HasSuffix(count.Test, "/NoSync") && count.Row == "3"
			if bad := count.Lost + count.Wrong + count.Missing; bad > 0 && !control {
				t.Errorf("%s:%d: %s has lost or read wrongly %d times", name, n, count.Test, bad)
			}
		}
	}
}
