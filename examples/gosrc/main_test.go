package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes a small source tree: 25 packages that import net/http, each file longer than the one before.
func tree(t *testing.T) string {
	src := t.TempDir()
	for i := range 25 {
		write(t, src, fmt.Sprintf("p%02d/f.go", i), fmt.Sprintf("package p%02d\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n)\n%s", i, strings.Repeat("// text\n", 200*i)))
	}
	write(t, src, "bad/f.go", "this is not Go")
	write(t, src, "other.txt", "not Go either")
	return src
}

func write(t *testing.T, src, name, text string) {
	t.Helper()
	path := filepath.Join(src, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestASecondRunWritesOnlyWhatChanged(t *testing.T) {
	src, dir := tree(t), t.TempDir()
	runs := []struct {
		change func()
		want   []string
	}{
		{func() {}, []string{"read 25 files", "wrote 25 ", "left out 1 ", "25 files import net/http", "page 1    38443 bytes  p24/f.go", "page 2     6443 bytes  p04/f.go", "below    65536 bytes"}},
		{func() {}, []string{"read 25 files", "wrote 0 "}},
		{func() { write(t, src, "p03/f.go", "package p03\n\nimport \"os\"\n") }, []string{"wrote 1 ", "24 files import net/http"}},
	}
	for i, r := range runs {
		r.change()
		var out bytes.Buffer
		if err := run(t.Context(), &out, dir, src, "net/http"); err != nil {
			t.Fatal(err)
		}
		for _, want := range r.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("run %d does not print %q:\n%s", i+1, want, &out)
			}
		}
	}
}
