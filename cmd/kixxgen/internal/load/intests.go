package load

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Entities in test files. A package with its own test files and package app_test are two more packages beside the one that
// is built, with declarations and types of their own: what only tests declare, as a method that looks like a hook, is not
// there for the entities that an application has.

// isTest reports whether a file belongs to the tests of a package.
func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// inTest matches what a test file has that is worth reading: a directive, or what may have been meant as one.
var inTest = regexp.MustCompile(`//kixx:|//[ \t]*(?i:kixx):[ \t]*(?:entity|index|view|migrate)`)

// testFiles returns the base names of p's test files, those with conflicts included.
func (p *pkg) testFiles() []string {
	names := slices.Concat(p.TestGoFiles, p.XTestGoFiles, slices.DeleteFunc(slices.Clone(p.InvalidGoFiles), func(name string) bool { return !isTest(name) }))
	slices.Sort(names)
	return slices.Compact(names) // go list has invalid files twice
}

// withTests makes the packages of p's test files, if one of those has a directive: p with its own test files, and p_test.
// Their imports are not resolved yet.
func (l *loader) withTests(p *pkg) {
	var sources []source
	found := false
	for _, name := range p.testFiles() {
		src, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err == nil && Ours(name, src) {
			continue
		}
		found = found || inTest.Match(src)
		sources = append(sources, source{name, src, err})
	}
	if !found {
		return
	}
	var own, external []*file
	for _, f := range l.parseAll(p, sources) {
		f.test = true
		if name, ok := strings.CutSuffix(f.syntax.Name.Name, "_test"); ok && (name == p.name || len(p.files) == 0) {
			external = append(external, f)
		} else {
			own = append(own, f)
		}
	}
	if len(own) > 0 {
		p.tested = &pkg{listed: p.listed, parsed: true, files: slices.Concat(p.files, own)}
		p.tested.beside = p.tested
	}
	if len(external) > 0 {
		at := *p.listed
		at.ImportPath += "_test [" + p.ImportPath + ".test]" // as go list calls it; a directory may be called app_test, too
		p.external = &pkg{listed: &at, parsed: true, files: external, beside: p.tested}
		l.packages[at.ImportPath] = p.external
	}
}

// tests returns the packages of p's test files that were read.
func (p *pkg) tests() []*pkg {
	return slices.DeleteFunc([]*pkg{p.tested, p.external}, func(q *pkg) bool { return q == nil })
}

// listImports lists, in one call, the packages that the tests import and nothing else does: go list leaves them out.
func (l *loader) listImports(ctx context.Context, tests []*pkg) error {
	missing := map[string]bool{}
	for _, p := range tests {
		for _, f := range p.files {
			for _, spec := range f.syntax.Imports {
				if at, err := strconv.Unquote(spec.Path.Value); err == nil && at != "C" && f.test && l.packages[p.resolve(at)] == nil {
					missing[at] = true
				}
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	cfg := l.cfg
	cfg.Patterns = slices.Sorted(maps.Keys(missing))
	list, err := goList(ctx, cfg)
	if err != nil {
		return err
	}
	for _, p := range list {
		if l.packages[p.ImportPath] == nil {
			p.DepOnly = true
			l.packages[p.ImportPath] = &pkg{listed: p}
		}
	}
	return nil
}

// imported returns the package that an import path means in from, which may be from's own: tests see the package that they
// stand beside with its test files. It is nil if there is none.
func (l *loader) imported(from *pkg, at string) *pkg {
	if from.beside != nil && from.beside.ImportPath == at {
		return from.beside
	}
	return l.packages[at]
}
