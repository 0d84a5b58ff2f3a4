// Package kixxgen_test runs the generator end to end: each archive of testdata/script is a script, its input, and what is
// expected to come out. Where it can, the result is compiled and run.
package kixxgen_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain builds the command once, for all scripts.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "kixxgen")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "kixxgen")
		if runtime.GOOS == "windows" {
			binary += ".exe"
		}
		// The applications of the tests have no network: what they need of other modules must be there.
		if out, err := exec.Command("go", "mod", "download").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go mod download: %v\n%s", err, out)
			return 1
		}
		if out, err := exec.Command("go", "build", "-o", binary, "./cmd/kixxgen").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build ./cmd/kixxgen: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// binary is the path of the command.
var binary string

// TestScripts runs the archives of testdata/script. In them, module example.com/app with this repository in the place of
// the released module is at hand without a go.mod. Beside the commands of testscript they have:
//
//	kixxgen args…            runs the command, which exits with 0
//	exits N command args…    the command exits with status N
//	wrong [packages]         kixxgen finds the mistakes of the // want comments, all of them and no others, and writes nothing
//	age files…               sets back the modification times of files
//	aged files…              they are still as age left them
//	conflict FILE            puts a conflict of git into the middle of FILE
//	bom FILE                 puts a byte order mark before FILE
//	moved DIR                moves all that kixxgen has written to a directory beside the rest
//	same DIR DIR             such directories have the same files, with the same bytes
//	outdated TYPE…           go build ./… fails for each TYPE, at a line of a generated file whose comment names go generate
func TestScripts(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	looksAtSources(t)
	goMod, goSum := module(t, root)
	goEnv := strings.Split(strings.TrimSpace(run(t, "go", "env", "GOCACHE", "GOMODCACHE", "GOPATH")), "\n")
	started := time.Now()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("KIXX_UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kixxgen": kixxgen, "exits": exits, "wrong": wrong, "age": age, "aged": aged, "conflict": conflict, "bom": bom,
			"moved": moved, "same": same,
			"outdated": outdated,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "full": // what takes long is run with the full counts
				return os.Getenv("KIXX_CI") != "" || os.Getenv("KIXX_LONG") != "", nil
			case "long":
				return os.Getenv("KIXX_LONG") != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("GOCACHE", strings.TrimSpace(goEnv[0]))
			env.Setenv("GOMODCACHE", strings.TrimSpace(goEnv[1]))
			env.Setenv("GOPATH", strings.TrimSpace(goEnv[2]))
			env.Setenv("GOFLAGS", "-mod=mod")
			env.Setenv("GOPROXY", "off")
			env.Setenv("GOWORK", "off")
			env.Setenv("GOTOOLCHAIN", "local")
			env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
			env.Setenv("KIXX", filepath.ToSlash(root))
			for name, content := range map[string][]byte{"go.mod": goMod, "go.sum": goSum} {
				at := filepath.Join(env.WorkDir, name)
				if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
					if err := os.WriteFile(at, content, 0o644); err != nil {
						return err
					}
				}
			}
			return nil
		},
	})
	t.Cleanup(func() { t.Logf("scripts took %.1f s", time.Since(started).Seconds()) })
}

// TestExamplesAreFresh checks that the generated files of the examples are what the generator of this tree makes.
func TestExamplesAreFresh(t *testing.T) {
	looksAtSources(t)
	cmd := exec.Command(binary, "check", "./examples/...")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("kixxgen check ./examples/...: %v\n%s", err, out)
	}
}

// looksAtSources looks at the files that the command and the applications of the tests are built from, which no test here
// imports: go test would otherwise take the result of before for one of today.
func looksAtSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"cmd", "internal", "templates", "runtime", "examples"} {
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				_, err = os.Stat(name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// module returns the go.mod and go.sum of an application that uses the repository at root as it is.
func module(t testing.TB, root string) (goMod, goSum []byte) {
	t.Helper()
	own, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	goSum, err = os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	own = bytes.Replace(own, []byte("module github.com/kixxgen/kixxgen\n"), []byte("module example.com/app\n"), 1)
	own = fmt.Appendf(own, "\nrequire github.com/kixxgen/kixxgen v0.0.0\nreplace github.com/kixxgen/kixxgen => %s\n", strconv.Quote(filepath.ToSlash(root)))
	return own, goSum
}

// run returns the standard output of a command.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

// kixxgen runs the command, which is expected to exit with 0.
func kixxgen(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: exits N kixxgen args…")
	}
	if err := ts.Exec(binary, args...); err != nil {
		ts.Fatalf("kixxgen %s: %v", strings.Join(args, " "), err)
	}
}

// exits runs a command and checks its exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N command args…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	name := args[1]
	if name == "kixxgen" {
		name = binary // also without a PATH
	}
	err = ts.Exec(name, args[2:]...)
	got := 0
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// wanted matches the mistakes that a line is expected to have: // want "column: message" "column: message".
var wanted = regexp.MustCompile(`[ \t]*// want ((?:"(?:[^"\\]|\\.)*"[ \t]*)+)\r?$`)

// wrong runs kixxgen on packages with mistakes and compares what it says, line by line, with the // want comments in the
// source, which are taken away first, and with the lines of want.txt, if there is one.
func wrong(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: wrong [packages]")
	}
	dir := ts.MkAbs(".")
	var want []string
	ts.Check(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		lines := strings.Split(string(src), "\n")
		for i, line := range lines {
			m := wanted.FindStringSubmatchIndex(line)
			if m == nil {
				continue
			}
			for rest := line[m[2]:m[3]]; rest != ""; rest = strings.TrimLeft(rest, " \t") {
				quoted, err := strconv.QuotedPrefix(rest)
				if err != nil {
					return fmt.Errorf("%s:%d: %w", name, i+1, err)
				}
				text, _ := strconv.Unquote(quoted)
				want = append(want, fmt.Sprintf("%s:%d:%s", rel, i+1, text))
				rest = rest[len(quoted):]
			}
			lines[i] = line[:m[0]]
			if strings.HasSuffix(line, "\r") {
				lines[i] += "\r"
			}
		}
		return os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644)
	}))
	if more, err := os.ReadFile(filepath.Join(dir, "want.txt")); err == nil {
		want = append(want, strings.Split(strings.TrimSuffix(string(more), "\n"), "\n")...)
	}
	before := tree(ts, dir)
	exits(ts, false, append([]string{"3", "kixxgen"}, args...))
	got := strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n")
	got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "note: ") })
	if !slices.IsSortedFunc(got, comparePosition) {
		ts.Fatalf("mistakes are not sorted:\n%s", strings.Join(got, "\n"))
	}
	slices.SortFunc(got, strings.Compare)
	slices.SortFunc(want, strings.Compare)
	if d := diff.Diff("want", []byte(strings.Join(want, "\n")+"\n"), "got", []byte(strings.Join(got, "\n")+"\n")); d != nil {
		ts.Fatalf("mistakes differ:\n%s", d)
	}
	if after := tree(ts, dir); after != before {
		ts.Fatalf("files were written in spite of mistakes:\n%s\nbefore:\n%s", after, before)
	}
}

// comparePosition compares two lines file:line:col: text by file, line and column.
func comparePosition(a, b string) int {
	x, y := strings.SplitN(a, ":", 4), strings.SplitN(b, ":", 4)
	if c := strings.Compare(x[0], y[0]); c != 0 {
		return c
	}
	for i := 1; i < 3 && i < len(x) && i < len(y); i++ {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m - n
		}
	}
	return 0
}

// tree returns the names, sizes and times of all files under dir.
func tree(ts *testscript.TestScript, dir string) string {
	var b strings.Builder
	ts.Check(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != dir {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || d.Name() == "go.mod" || d.Name() == "go.sum" {
			return err
		}
		fmt.Fprintf(&b, "%s %d %s\n", name, info.Size(), info.ModTime())
		return nil
	}))
	return b.String()
}

// past is the modification time that age gives.
var past = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// age sets back the modification times of files.
func age(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		ts.Check(os.Chtimes(ts.MkAbs(name), past, past))
	}
}

// aged checks that the files were not written since age.
func aged(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if kept := info.ModTime().Equal(past); kept == neg {
			ts.Fatalf("%s was modified at %s", name, info.ModTime())
		}
	}
}

// conflict puts a conflict into the middle of a file, as a merge of two branches leaves it.
func conflict(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: conflict FILE")
	}
	name := ts.MkAbs(args[0])
	lines := strings.SplitAfter(ts.ReadFile(args[0]), "\n")
	middle := len(lines) / 2
	text := strings.Join(lines[:middle], "") + "<<<<<<< HEAD\n" + lines[middle] + "=======\nsomething else\n>>>>>>> branch\n" + strings.Join(lines[middle+1:], "")
	ts.Check(os.WriteFile(name, []byte(text), 0o644))
}

// bom puts a byte order mark before a file.
func bom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: bom FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("\ufeff"+ts.ReadFile(args[0])), 0o644))
}

// moved moves the generated files under the working directory to a directory, with their paths.
func moved(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: moved DIR")
	}
	from, to := ts.MkAbs("."), filepath.Join(ts.MkAbs(".moved"), args[0])
	for _, name := range generatedFiles(ts, from) {
		ts.Check(os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o777))
		ts.Check(os.Rename(filepath.Join(from, name), filepath.Join(to, name)))
	}
}

// generatedFiles returns the paths of the generated files under dir.
func generatedFiles(ts *testscript.TestScript, dir string) []string {
	var names []string
	ts.Check(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != dir {
			return filepath.SkipDir
		}
		rel, _ := filepath.Rel(dir, name)
		slashes := filepath.ToSlash(rel)
		if err == nil && !d.IsDir() && (strings.HasSuffix(name, "_kixx.go") || strings.HasSuffix(name, "_kixx_test.go") ||
			strings.HasSuffix(name, "kixx.schema.json") || strings.Contains(slashes, "testdata/kixx/")) {
			names = append(names, rel)
		}
		return err
	}))
	return names
}

// same compares what was moved to two directories.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: same DIR DIR")
	}
	a, b := filepath.Join(ts.MkAbs(".moved"), args[0]), filepath.Join(ts.MkAbs(".moved"), args[1])
	names, others := generatedFiles(ts, a), generatedFiles(ts, b)
	if len(names) == 0 || !slices.Equal(names, others) {
		ts.Fatalf("%s has %q, and %s has %q", args[0], names, args[1], others)
	}
	for _, name := range names {
		one, two := ts.ReadFile(filepath.Join(a, name)), ts.ReadFile(filepath.Join(b, name))
		if one != two {
			ts.Fatalf("%s differs:\n%s", name, diff.Diff(args[0], []byte(one), args[1], []byte(two)))
		}
	}
}

// TestModuleCanBeReleased checks that go.mod has nothing that is there on one machine alone, and that it does not raise the
// version of Go that users must have without anybody deciding it: a newer release of a requirement can do that.
func TestModuleCanBeReleased(t *testing.T) {
	var mod struct {
		Go, Toolchain             string
		Replace, Exclude, Retract []any
	}
	if err := json.Unmarshal([]byte(run(t, "go", "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	if mod.Go != "1.26.0" || mod.Toolchain != "" {
		t.Errorf("go.mod asks for go %s, toolchain %q, want 1.26.0 and none", mod.Go, mod.Toolchain)
	}
	if len(mod.Replace)+len(mod.Exclude)+len(mod.Retract) > 0 {
		t.Errorf("go.mod has replacements %v, exclusions %v, retractions %v, want none", mod.Replace, mod.Exclude, mod.Retract)
	}
}

// outdated builds all packages and checks that the guard of each type fails, beside a comment that says what to do. Other
// lines may fail as well.
func outdated(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: outdated TYPE…")
	}
	exits(ts, false, []string{"1", "go", "build", "-gcflags=-e", "./..."}) // all errors, not ten
	failed := regexp.MustCompile(`(?m)^(?:\.[/\\])?(.+_kixx\.go):(\d+):`)
	var guards []string
	for _, m := range failed.FindAllStringSubmatch(ts.ReadFile("stderr"), -1) {
		n, err := strconv.Atoi(m[2])
		ts.Check(err)
		above := strings.Join(strings.Split(ts.ReadFile(m[1]), "\n")[:n], "\n")
		guard := above[strings.LastIndex(above, "\n\n")+2:]
		if strings.HasPrefix(guard, "// If this does not compile, ") && strings.Contains(guard, "run go generate, or") {
			guards = append(guards, guard[strings.LastIndexByte(guard, '\n')+1:])
		}
	}
	for _, name := range args {
		if !slices.ContainsFunc(guards, regexp.MustCompile(`\b`+name+`\b`).MatchString) {
			ts.Fatalf("the guard of %s does not fail, but\n%s", name, strings.Join(guards, "\n"))
		}
	}
}
