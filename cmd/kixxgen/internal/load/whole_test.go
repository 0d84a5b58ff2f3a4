package load_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/output"
	"github.com/kixxgen/kixxgen/templates"
)

// steps matches the lines of a script that make the states in which packages are loaded, and those that load them without
// mistakes. What is compiled, run and compared there is not done again here.
var steps = regexp.MustCompile(`^(cp|rm|mv|mkdir|cd|env|unix2dos|conflict|kixxgen|exits 1 kixxgen|exec go mod edit)\b`)

// elsewhere matches the archives whose states are made by other commands.
var elsewhere = regexp.MustCompile(`^(go_.*|init|first_hour|exit_codes)\.`)

// states matches the archives that are always taken: their subject is what is loaded.
var states = regexp.MustCompile(`^(tree|types)_`)

// TestWalkLeavesOutNothing loads the packages of every archive of testdata/script, in every state that its script brings them
// to, twice: as always, and with all declarations of the packages of its module and others that are reached. The same files
// come out: the walk leaves out only what makes no difference. Archives whose states come from go generate or other commands
// are not among them. With KIXX_LONG=1 it is every archive, else those about the states of the tree and types.
func TestWalkLeavesOutNothing(t *testing.T) {
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	archives, err := filepath.Glob(filepath.Join(root, "testdata/script/*.txtar"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	dir := t.TempDir()
	all := os.Getenv("KIXX_LONG") != ""
	for _, name := range archives {
		if elsewhere.MatchString(filepath.Base(name)) || !all && !states.MatchString(filepath.Base(name)) {
			continue
		}
		ar, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var script bytes.Buffer
		for line := range bytes.Lines(ar.Comment) {
			if !steps.Match(line) {
				script.WriteString("# ")
			}
			script.Write(line)
		}
		ar.Comment = script.Bytes()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	goMod, goSum := application(t, root)
	var runs atomic.Int32
	twice := func(ts *testscript.TestScript, args []string) {
		if loaded, err := loadTwice(ts, args); err != nil {
			ts.Fatalf("kixxgen %s: %v", strings.Join(args, " "), err)
		} else if loaded {
			runs.Add(1)
		}
	}
	t.Run("archives", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: dir,
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"kixxgen": func(ts *testscript.TestScript, _ bool, args []string) { twice(ts, args) },
				"exits":   func(ts *testscript.TestScript, _ bool, args []string) { twice(ts, args[2:]) },
				"conflict": func(ts *testscript.TestScript, _ bool, args []string) {
					ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("<<<<<<< HEAD\n=======\n>>>>>>> branch\n"+ts.ReadFile(args[0])), 0o644))
				},
			},
			Setup: func(env *testscript.Env) error {
				for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
					value, err := exec.Command("go", "env", name).Output()
					if err != nil {
						return err
					}
					env.Setenv(name, strings.TrimSpace(string(value)))
				}
				env.Setenv("GOFLAGS", "-mod=mod")
				env.Setenv("GOPROXY", "off")
				env.Setenv("GOWORK", "off")
				env.Setenv("GOTOOLCHAIN", "local")
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
	})
	t.Logf("%d runs of %d archives", runs.Load(), len(archives))
	if all && runs.Load() < 60 || runs.Load() < 20 {
		t.Errorf("only %d runs: does the filter of their lines still find them?", runs.Load())
	}
}

// application returns the go.mod and go.sum of a module that uses this repository.
func application(t *testing.T, root string) (goMod, goSum []byte) {
	t.Helper()
	goMod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	goSum, err = os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	goMod = bytes.Replace(goMod, []byte("module github.com/kixxgen/kixxgen\n"), []byte("module example.com/app\n"), 1)
	return fmt.Appendf(goMod, "\nrequire github.com/kixxgen/kixxgen v0.0.0\nreplace github.com/kixxgen/kixxgen => %s\n", strconv.Quote(filepath.ToSlash(root))), goSum
}

// loadTwice loads what kixxgen would with these arguments, in both modes, and writes the files. It reports false if the
// arguments are of another command. An error says what is wrong, or what differs.
func loadTwice(ts *testscript.TestScript, args []string) (loaded bool, err error) {
	cfg := load.Config{Dir: ts.MkAbs(".")}
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains([]string{"data", "version", "describe", "help", "--help"}, args[i]):
			return false, nil
		case args[i] == "check":
		case args[i] == "--tags":
			i++
			cfg.Tags = args[i]
		case args[i] == "--goos":
			i++
			cfg.GOOS = args[i]
		case strings.HasPrefix(args[i], "-"):
			return false, nil
		default:
			cfg.Patterns = append(cfg.Patterns, args[i])
		}
	}
	if cfg.Patterns == nil {
		cfg.Patterns = []string{"."}
	}
	env := os.Environ()
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY", "GOWORK", "GOTOOLCHAIN", "CGO_ENABLED", "CC"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	if ts.Getenv("CGO_ENABLED") == "" {
		env = env[:len(env)-2]
	}
	cfg = cfg.In(env)
	files, wants, err := outcome(cfg)
	if err != nil {
		return false, err
	}
	whole, _, err := outcome(cfg.Whole())
	if err != nil {
		return false, fmt.Errorf("with all declarations: %w", err)
	}
	if names, wholeNames := slices.Sorted(maps.Keys(files)), slices.Sorted(maps.Keys(whole)); !slices.Equal(names, wholeNames) {
		return false, fmt.Errorf("with all declarations it writes %q, with those that are reached %q", wholeNames, names)
	}
	for name, content := range files {
		if !bytes.Equal(whole[name], content) {
			return false, fmt.Errorf("with all declarations, %s is\n%s\nwith those that are reached\n%s", name, whole[name], content)
		}
	}
	changes, err := output.Plan(wants)
	if err != nil {
		return false, err
	}
	return true, output.Apply(changes)
}

// outcome returns the files that come out of cfg, by path, with the notes in the place of one more file.
func outcome(cfg load.Config) (files map[string][]byte, wants []output.Directory, err error) {
	result, err := load.Load(context.Background(), cfg)
	if err != nil {
		return nil, nil, err
	}
	files = map[string][]byte{"notes": []byte(result.Notes.Error())}
	for _, p := range result.Packages {
		want := output.Directory{Path: p.Dir, Keep: p.Keep, Files: map[string][]byte{}}
		for _, m := range p.Models {
			rendered, err := templates.Render(m)
			if err != nil {
				return nil, nil, err
			}
			maps.Copy(want.Files, rendered)
		}
		maps.Copy(want.Files, p.Samples)
		if p.Schema != nil {
			want.Files[load.SchemaFile] = p.Schema
		}
		for name, content := range want.Files {
			files[filepath.Join(p.Dir, name)] = content
		}
		wants = append(wants, want)
	}
	return files, wants, nil
}
