package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/output"
	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/starter"
)

// Paths of what a starter uses.
const (
	modulePath  = "github.com/kixxgen/kixxgen"
	commandPath = modulePath + "/cmd/kixxgen"
)

// initCommand is kixxgen init [DIR].
type initCommand struct {
	Dir     string `arg:"" optional:"" default:"." help:"Directory to begin in; it is made if it is not there."`
	Module  string `help:"Name of the module, if there is none yet: example.com/NAME unless it is given." placeholder:"PATH"`
	Replace string `help:"Clone of github.com/kixxgen/kixxgen to use in the place of a release, which needs no network for it." placeholder:"CLONE"`
}

// Help is shown by --help.
func (*initCommand) Help() string {
	return `In a directory without Go files it writes a small application: go.mod if there is none, a struct with annotations and a
test of it, a main.go, and lines for .gitattributes and .gitignore; it gets the module, and generates. Below the root of a
module, or in one that has Go files already, it adds a package with the struct and the test, and nothing else.

No file is overwritten: if there is one in the way, none is written.

    kixxgen init shop && cd shop && go run .
    kixxgen init --module example.com/team/shop
    kixxgen init ./internal/notes`
}

// A start is what init is about to write.
type start struct {
	dir    string // absolute
	root   string // directory of go.mod
	module bool   // go.mod is to be made
	files  map[string]string
	target string // pattern of the package to generate, as seen from dir
	lines  map[string]string
}

// Run writes the files, gets the module, and generates.
func (c *initCommand) Run(env environment) error {
	s, err := c.start(env)
	if err != nil {
		return err
	}
	var changes []output.Change
	var taken []string
	for name, text := range s.files {
		at := filepath.Join(s.dir, filepath.FromSlash(name))
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			taken = append(taken, name)
		}
		changes = append(changes, output.Made(at, []byte(text)))
	}
	if len(taken) > 0 {
		slices.Sort(taken)
		return usage("%s: there is already %s; nothing was written. Give another directory", c.Dir, strings.Join(taken, ", "))
	}
	if err := output.Apply(changes); err != nil {
		return &exit{exitStale, err}
	}
	if err := c.get(env, s); err != nil {
		return err
	}
	there := env
	there.dir = s.dir
	generate := &generateCommand{outcome{selection: selection{Packages: []string{s.target}}}}
	if err := generate.Run(there); err != nil {
		return err
	}
	c.next(env, s)
	return nil
}

// clone returns the directory of --replace.
func (c *initCommand) clone(env environment) string {
	if filepath.IsAbs(c.Replace) {
		return c.Replace
	}
	return filepath.Join(env.dir, c.Replace)
}

// start finds out what to write.
func (c *initCommand) start(env environment) (*start, error) {
	if c.Replace != "" {
		if mod, err := readMod(c.clone(env)); err != nil || mod.Module.Path != modulePath {
			return nil, usage("--replace %s: there is no clone of %s", c.Replace, modulePath)
		}
	}
	s := &start{dir: c.Dir, lines: map[string]string{}}
	if !filepath.IsAbs(s.dir) {
		s.dir = filepath.Join(env.dir, s.dir)
	}
	for s.root = s.dir; ; s.root = filepath.Dir(s.root) {
		if _, err := os.Stat(filepath.Join(s.root, "go.mod")); err == nil {
			break
		}
		if s.root == filepath.Dir(s.root) {
			s.root, s.module = s.dir, true
			break
		}
	}
	sources, err := filepath.Glob(filepath.Join(s.dir, "*.go"))
	if err != nil {
		return nil, usage("%s: %w", c.Dir, err)
	}
	if !s.module && c.Module != "" {
		return nil, usage("--module %s: there is a module already, in %s", c.Module, s.root)
	}
	switch {
	case s.dir == s.root && len(sources) == 0:
		module, err := c.moduleName(s)
		if err != nil {
			return nil, err
		}
		s.files = starter.Application(module)
		if s.module {
			s.files["go.mod"] = starter.GoMod(module)
		}
		s.target = "./notes"
		s.line(".gitattributes", starter.Attributes)
		s.line(".gitignore", "/data/")
	case s.dir == s.root && !s.module:
		s.files = map[string]string{}
		for name, text := range starter.Package("notes") {
			s.files["notes/"+name] = text
		}
		s.target = "./notes"
	case len(sources) > 0:
		return nil, usage("%s: there are Go files already; nothing was written. Give another directory", c.Dir)
	default:
		name := starter.Word(filepath.Base(s.dir))
		if name == "" || token.IsKeyword(name) || name == "main" || name == "kixx" {
			return nil, usage("%s: the package cannot be named after the directory; give another one", c.Dir)
		}
		s.files = starter.Package(name)
		s.target = "."
	}
	return s, nil
}

// moduleName returns the name of the module, which is that of its go.mod if there is one.
func (c *initCommand) moduleName(s *start) (string, error) {
	if s.module {
		word := starter.Word(filepath.Base(s.dir))
		if c.Module == "" && word == "" {
			return "", usage("the module cannot be named after %s; say --module PATH", s.dir)
		}
		if c.Module == "" {
			return "example.com/" + word, nil
		}
		if strings.ContainsFunc(c.Module, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r == '`' }) {
			return "", usage("--module %q: want an import path, as example.com/shop", c.Module)
		}
		return c.Module, nil
	}
	mod, err := readMod(s.root)
	if err != nil {
		return "", &exit{exitInput, err}
	}
	return mod.Module.Path, nil
}

// line has a line put into a file of its own; if that is there without it, the user is told.
func (s *start) line(name, line string) {
	old, err := os.ReadFile(filepath.Join(s.dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.files[name] = line + "\n"
	case err == nil && !slices.Contains(strings.Split(strings.ReplaceAll(string(old), "\r\n", "\n"), "\n"), line):
		s.lines[name] = line
	}
}

// A goMod is what init asks of a go.mod.
type goMod struct {
	Module  struct{ Path string }
	Require []struct{ Path string }
	Tool    []struct{ Path string }
}

// readMod reads the go.mod in dir.
func readMod(dir string) (*goMod, error) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go mod edit: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	mod := new(goMod)
	return mod, json.Unmarshal(out, mod)
}

// get requires the module of kixxgen, unless go.mod does, which stays as it is then.
func (c *initCommand) get(env environment, s *start) error {
	mod, err := readMod(s.root)
	if err != nil {
		return &exit{exitInput, err}
	}
	if slices.ContainsFunc(mod.Require, func(r struct{ Path string }) bool { return r.Path == modulePath }) || mod.Module.Path == modulePath {
		return nil
	}
	version := "latest"
	if v := ownVersion(); strings.HasPrefix(v, "v") && !strings.Contains(v, "+") {
		version = v
	}
	steps := [][]string{{"get", "-tool", commandPath + "@" + version}}
	if c.Replace != "" {
		clone := c.clone(env)
		steps = [][]string{
			{"mod", "edit", "-require=" + modulePath + "@v0.0.0", "-replace=" + modulePath + "=" + filepath.ToSlash(clone), "-tool=" + commandPath},
			{"list", "-mod=mod", "-deps", commandPath, modulePath + "/runtime/kixxtest"},
		}
		if sums, err := os.ReadFile(filepath.Join(clone, "go.sum")); err == nil {
			if _, err := os.Lstat(filepath.Join(s.root, "go.sum")); errors.Is(err, fs.ErrNotExist) {
				if err := os.WriteFile(filepath.Join(s.root, "go.sum"), sums, 0o666); err != nil {
					return &exit{exitStale, err}
				}
			}
		}
	}
	for _, args := range steps {
		cmd := exec.CommandContext(env.ctx, "go", args...)
		cmd.Dir = s.root
		cmd.Env = append(os.Environ(), "PWD="+s.root)
		out, err := cmd.CombinedOutput()
		if err == nil {
			continue
		}
		return &exit{exitStale, fmt.Errorf("the files are there, but not the module %s:\n%s\nWhen there is a network:\n\n    cd %s\n    go get -tool %s@%s\n    go generate ./...\n\nWithout one, begin anew in an empty directory with a clone of it: kixxgen init --replace CLONE",
			modulePath, indented(out), s.root, commandPath, version)}
	}
	return nil
}

// indented returns what another program has said, as a block of its own.
func indented(out []byte) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(string(out))) {
		b.WriteString("    " + printable(strings.TrimRight(line, "\r\n"), 0) + "\n")
	}
	return b.String()
}

// next prints what was made, and what to do now.
func (c *initCommand) next(env environment, s *start) {
	var names []string
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(env.stdout, "made %s, and what is generated from them\n\n", strings.Join(names, ", "))
	rel := func(dir string) string {
		if rel, err := filepath.Rel(env.dir, dir); err == nil && filepath.IsLocal(rel) {
			return rel
		}
		return dir
	}
	if dir := rel(s.dir); dir != "." {
		fmt.Fprintf(env.stdout, "    cd %s\n", dir)
	}
	if s.files["main.go"] != "" {
		fmt.Fprintln(env.stdout, "    go run .                           run it twice, and it finds what it has stored")
	}
	fmt.Fprintln(env.stdout, "    go test ./...")
	if mod, err := readMod(s.root); err == nil && !slices.ContainsFunc(mod.Tool, func(t struct{ Path string }) bool { return t.Path == commandPath }) {
		fmt.Fprintf(env.stdout, "    go mod edit -tool=%s   for go generate\n", commandPath)
	}
	fmt.Fprintln(env.stdout, "    go generate ./...                  after a change of the struct")
	fmt.Fprintln(env.stdout, "    go tool kixxgen describe ./...     what is stored, and which index finds what")
	fmt.Fprintln(env.stdout, "    go doc "+commandPath+"   the manual")
	for _, name := range []string{".gitattributes", ".gitignore"} {
		if line := s.lines[name]; line != "" {
			fmt.Fprintf(env.stdout, "\n%s is there already; add the line\n    %s\n", name, line)
		}
	}
}
