package kixxgen_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fences matches the fenced blocks of a Markdown file: their language, and what is in them.
var fences = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// TestReadmeRuns does what the README says to do in the first ten minutes: it generates code for the struct that is shown
// there, builds the program that is shown there, runs it twice, and looks into its files.
func TestReadmeRuns(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	var commands, console []string
	for _, m := range fences.FindAllStringSubmatch(string(readme), -1) {
		switch {
		case m[1] == "sh":
			commands = append(commands, strings.TrimSpace(m[2]))
		case m[1] == "console":
			for line := range strings.Lines(m[2]) {
				console = append(console, strings.TrimSpace(line))
			}
		case strings.HasPrefix(m[2], "package inventory"):
			files["inventory/item.go"] = m[2]
		case strings.HasPrefix(m[2], "package ops"):
			files["ops/ops.go"] = m[2]
		case strings.HasPrefix(m[2], "package main"):
			files["main.go"] = m[2]
		}
	}
	if len(files) != 3 || len(commands) != 2 || strings.Contains(strings.Join(commands, ""), "\n") {
		t.Fatalf("the README has %d of 3 Go files, and the sh blocks %q; want two of one line", len(files), commands)
	}
	files["main.go"] = strings.ReplaceAll(files["main.go"], "example.com/shop", "example.com/app")
	dir := application(t, files)
	inModule(t, dir, "go", "mod", "edit", "-tool=github.com/kixxgen/kixxgen/cmd/kixxgen")
	inModule(t, dir, "go", "generate", "./...")
	inModule(t, dir, "go", "vet", "./...")
	inModule(t, dir, "go", "build", "-o", "shop", ".")
	for i, want := range []string{"revision 0\n1 items", "revision 1\n1 items"} {
		cmd := exec.Command(filepath.Join(dir, "shop"))
		cmd.Dir = dir
		b, err := cmd.CombinedOutput()
		if out := string(b); err != nil || !strings.Contains(out, want) || !strings.Contains(out, "Lamp 39.99") || !strings.Contains(out, "0030-0039 Lamp") {
			t.Errorf("run %d: %v, prints\n%s\nwant %q and the lamp in it", i+1, err, out, want)
		}
	}
	if len(console) < 5 {
		t.Errorf("the README looks into the files with %q, want five commands", console)
	}
	for _, line := range console {
		args, ours := strings.CutPrefix(line, "$ go tool kixxgen ")
		args, to, _ := strings.Cut(args, " > ")
		cmd := exec.Command(binary, strings.Fields(args)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if !ours || err != nil || len(out) == 0 {
			t.Errorf("%s: %v, prints\n%s", line, err, out)
		}
		if to != "" {
			if err := os.WriteFile(filepath.Join(dir, to), out, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
