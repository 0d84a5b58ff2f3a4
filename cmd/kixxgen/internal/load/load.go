// Package load reads the packages of a user into the model that generated code is made from.
//
// It calls go list once, then parses what it needs and hands go/types only the declarations that entities reach, from
// source, without function bodies and without export data. So a package need not build: generated files may be missing,
// stale or full of conflict markers, and code may already call methods that are not generated yet. Our own files are
// never read.
//
// Every mistake is collected with its position; all are returned together. The model that comes out is complete: names
// are chosen and clashes resolved.
//
// Read golist.go, source.go, intests.go and reach.go for the loading, annotate.go, tag.go and directive.go for the annotations,
// types.go and fields.go for types, entity.go, index.go and view.go for the model, evolve.go for how they change, schema.go
// for kixx.schema.json, sample.go for testdata/kixx.
package load

import (
	"bytes"
	"context"
	"go/ast"
	"go/build"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kixxgen/kixxgen/templates"
)

// A Config says what to load.
type Config struct {
	Dir      string   // absolute; where patterns are meant from
	Patterns []string // as for go list
	Tags     string   // build tags, separated by commas; "" for none beside those of GOFLAGS
	GOOS     string   // operating system to load for; "" for that of the environment

	// For tests: of which packages that are reached all declarations are kept, to compare the walk with; nil for none. And the
	// environment of go list, nil for that of the process.
	whole func(*pkg) bool
	env   []string

	list []*listed // taken in the place of what go list says: of tests that load often
}

// A Package is one package with entities, or one that had some: then it has no models and no schema.
type Package struct {
	Dir     string
	Models  []*templates.Package // one for each build constraint under which entities are declared
	Schema  []byte               // the new content of kixx.schema.json
	Samples map[string][]byte    // documents of the present versions of the entities, by their paths in Dir
	Keep    []string             // base names of generated files that belong to entities in excluded files
}

// A Result is what was loaded.
type Result struct {
	Packages []*Package // sorted by directory
	Notes    Problems   // what a user should know, and may be right
}

// Load reads the packages of cfg. Mistakes in what it reads are returned as [Problems], all that there are; then there is
// no result. Any other error means that go list could not be run or read.
func Load(ctx context.Context, cfg Config) (*Result, error) {
	list := cfg.list
	if list == nil {
		var err error
		if list, err = goList(ctx, cfg); err != nil {
			return nil, err
		}
	}
	l := &loader{report: report{fset: token.NewFileSet()}, cfg: cfg, packages: map[string]*pkg{}, arch: build.Default.GOARCH, tags: map[*ast.Field]*fieldTag{}, promotes: map[types.Object]bool{}}
	for _, p := range list {
		q := &pkg{listed: p}
		l.packages[p.ImportPath] = q
		if !p.DepOnly && !p.Standard {
			l.roots = append(l.roots, q)
		}
	}
	slices.SortFunc(l.roots, func(a, b *pkg) int { return strings.Compare(a.Dir, b.Dir) })

	var annotated []*pkg
	for _, p := range l.roots {
		if !l.usable(p) || !p.mentions("kixx:") && !p.hasOurs() {
			continue
		}
		annotated = append(annotated, p)
		l.parse(p)
		l.excluded(p)
		l.annotations(p)
		l.withTests(p)
		l.tests = append(l.tests, p.tests()...)
	}
	if err := l.listImports(ctx, l.tests); err != nil {
		return nil, err
	}
	for _, p := range l.tests {
		p.index(l)
		l.annotations(p)
	}
	// The whole walk comes before the first check: a package is checked once, with all that is reached in it.
	for _, e := range l.entities {
		l.reach(e.pkg, e.name)
		for _, d := range append(slices.Clone(e.views), e.migrates...) {
			if name := d.funcName(); name != "" {
				l.reach(e.pkg, name)
			}
		}
	}
	if cfg.whole != nil {
		l.reachWhole()
	}
	l.brokenFiles()
	result := &Result{}
	for _, p := range annotated {
		if p.partly {
			continue
		}
		if made := l.build(p); made != nil {
			result.Packages = append(result.Packages, made)
		}
	}
	l.forgotten()
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	result.Notes = l.notes.sorted()
	return result, nil
}

// usable reports whether p is a package, and says what go list said if it is none.
func (l *loader) usable(p *pkg) bool {
	if len(p.GoFiles)+len(p.CgoFiles)+len(p.InvalidGoFiles)+len(p.TestGoFiles)+len(p.XTestGoFiles)+len(p.IgnoredGoFiles) > 0 {
		return true
	}
	if p.Error != nil {
		l.problems = append(l.problems, Problem{Text: p.Error.Err})
	}
	return false
}

// mentions reports whether one of the user's files contains text. Test files and excluded ones count.
func (p *pkg) mentions(text string) bool {
	for _, s := range p.read() {
		if bytes.Contains(s.src, []byte(text)) {
			return true
		}
	}
	for _, name := range append(p.testFiles(), p.IgnoredGoFiles...) {
		src, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err == nil && bytes.Contains(src, []byte(text)) && !Ours(name, src) {
			return true
		}
	}
	return false
}

// hasOurs reports whether the directory of p holds a file that kixxgen wrote.
func (p *pkg) hasOurs() bool {
	entries, err := os.ReadDir(p.Dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() == SchemaFile {
			return true
		}
		if strings.HasSuffix(e.Name(), "_kixx.go") || strings.HasSuffix(e.Name(), "_kixx_test.go") {
			if src, err := os.ReadFile(filepath.Join(p.Dir, e.Name())); err == nil && Ours(e.Name(), src) {
				return true
			}
		}
	}
	return false
}
