package kixxgen_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scenarios are the states that a user's tree may be in when kixxgen runs, and what else it promises about files: where each
// is tested, and a line there that makes it. The archive may be a pattern.
var scenarios = []struct{ what, archive, witness string }{
	// What our own files look like before a run.
	{"generated file missing", "tree_states", "rm item_kixx.go"},
	{"fresh: nothing is touched", "item", "aged inventory/item_kixx.go"},
	{"stale, with fields of before", "check", "cp item2.txt item.go"},
	{"stale, of an entity that is gone", "files_stale", "! exists gone_kixx.go"},
	{"conflict in the body", "tree_states", "conflict item_kixx.go"},
	{"conflict among the imports", "tree_generated_types", "cp imports.txt item_kixx.go"},
	{"conflict from the first line on", "tree_states", "cp conflict.txt item_kixx.go"},
	{"imports of packages that are gone", "tree_states", "import \"example.com/gone\""},
	{"another package clause", "tree_states", "package somethingelse"},
	{"another package clause, in the file that sorts first", "tree_package_clause", "cp stale.txt aaa_kixx.go"},
	{"empty", "tree_states", "cp empty.txt item_kixx.go"},
	{"it declares what is the user's now", "tree_generated_types", "cp declares.txt item_kixx.go"},
	{"it declares what is the user's now, and sorts first", "tree_states", "cp a.txt aaa_kixx.go"},
	{"it is under another build tag", "tree_generated_types", "cp tagged.txt item_kixx.go"},
	{"a stale method looks like a hook", "tree_states", "func (it Item) Validate(x gone.Thing) {}"},

	// What the user's code mentions of what is generated.
	{"generated types in fields", "tree_states", "repo *ItemRepo"},
	{"generated types embedded", "tree_generated_types", "\t*ItemRepo\n"},
	{"generated types in interfaces", "tree_generated_types", "Last() (ItemByNames, error)"},
	{"generated types in signatures", "tree_states", "func Named(ctx context.Context, r *ItemRepo, name string)"},
	{"generated types in variables", "tree_generated_types", "entries []ItemByNames"},
	{"generated types in signatures of hooks", "tree_generated_types", "func (it *Item) Validate(r *ItemRepo) error"},
	{"generated types in a view's signature", "wrong_views", "emit kixx.Emit[string, ItemPeek]"},

	// Other packages of the module.
	{"a package that lacks its generated code", "tree_dependency", "repo *lib.ThingRepo"},
	{"a package whose generated code has conflicts", "tree_dependency", "conflict lib/thing_kixx.go"},
	{"two packages away, behind an alias", "tree_dependency", "type Alias = deeper.Deep"},
	{"the same with all packages at once", "tree_dependency", "kixxgen . ./lib"},
	{"a package whose own file has conflicts", "tree_dependency", "cp lib.txt lib/lib.go"},
	{"a package with nothing but generated files", "tree_dependency", "cp bare.txt bare/x_kixx.go"},

	// Types.
	{"UUIDs", "*", "[16]byte"},
	{"sql.Null types", "*", "sql.NullString"},
	{"big.Int", "*", "big.Int"},
	{"netip", "tree_in_tests", "netip.AddrPort"},
	{"url", "*", "url.URL"},
	{"json.RawMessage", "*", "json.RawMessage"},
	{"constants as lengths", "tree_language", "[three][word]"},
	{"a package variable as a length", "tree_language", "[len(table)]bool"},
	{"unsafe.Sizeof and iota", "tree_language", "unsafe.Sizeof(uint64(0))"},

	// cgo, build constraints.
	{"cgo in the package", "module_cgo", "import \"C\""},
	{"CGO_ENABLED=0", "module_cgo", "env CGO_ENABLED=0"},
	{"no C compiler", "module_cgo", "env CC=no-such-compiler"},
	{"cgo in a dependency, with a missing header", "module_cgo", "#include <another-missing-header.h>"},
	{"types of os/user and net, with no C compiler", "module_cgo", "Who  user.User"},
	{"build tags of GOFLAGS", "module_environment", "-tags=special"},
	{"files for a GOOS", "module_environment", "-- lin_plan9.go --"},
	{"GOOS in the environment", "module_environment", "env GOOS=plan9"},
	{"a test file for a GOOS", "module_environment", "-- probe_plan9_test.go --"},
	{"--tags and --goos", "module_constraints", "kixxgen --tags special --goos plan9"},

	// Generics.
	{"Base[K] embedded", "tree_generics", "\tBase[string]\n"},
	{"methods on generics", "tree_generics", "func (p Pair[A, B]) Swapped()"},
	{"a constraint that is not satisfied", "tree_generics", "Next  Ref[*Post]"},
	{"an alias of an instance, with parameters", "tree_generics", "type Named[B any] = Pair[string, B]"},

	// Broken code of the user's.
	{"missing files to embed", "tree_broken_elsewhere", "//go:embed nothing/*.txt"},
	{"type errors", "tree_broken_elsewhere", "return undefined + broken.Missing"},
	{"declarations that are there twice", "tree_broken_elsewhere", "func Twice() {}"},
	{"a struct without an end", "tree_broken_elsewhere", "type Endless struct{ inner Endless }"},
	{"imports that nobody uses", "tree_broken_elsewhere", "\t\"strings\"\n"},
	{"broken assembly", "tree_broken_elsewhere", "THIS IS NO ASSEMBLY("},
	{"an import cycle", "tree_broken_elsewhere", "import \"example.com/app/broken/cycle\""},
	{"an import of a package that is not there", "module_missing", "\"example.com/app/internal2/missing\""},
	{"an import of a module that is not in go.mod", "module_missing", "\"github.com/unknown/module/uuid\""},
	{"an import of a package that is internal elsewhere", "module_missing", "\"example.com/lib/internal/deep\""},
	{"a syntax error in another file", "tree_syntax", "var x = )"},
	{"a conflict in another file", "tree_syntax", "<<<<<<< HEAD\n\tA int"},
	{"a conflict in the file of another generator", "tree_syntax", "-- zz_generated.go --"},
	{"the type of another generator is not there yet", "wrong_types", "undefined: Missing"},

	// Forms of code.
	{"imports under other names, dot imports", "tree_language", ". \"example.com/app/dotted\""},
	{"methods through an alias", "tree_language", "func (it *Further) BeforeSet"},
	{"types in groups", "tree_language", "\t//kixx:entity\n"},
	{"package main", "application", "package main"},
	{"promoted hooks", "tree_promoted_hooks", "func (c *Checked) Validate() error"},
	{"an entity in a test file of the package", "tree_in_tests", "type Draft struct"},
	{"an entity in package app_test", "tree_in_tests", "package app_test"},

	// Modules.
	{"a workspace with a module that does not build", "module_workspace", "var X int = nothing.Y + \"z\""},
	{"vendor", "go_vendor", "exec go mod vendor"},
	{"a vendored dependency that does not compile", "go_vendor", "return s.Nothing()"},
	{"a replaced module that does not build", "tree_foreign", "func Broken() int"},
	{"the runtime is not in go.mod", "module_norequire", "field Rev: package"},
	{"a line of go.sum is missing", "module_nosum", "missing go.sum entry"},
	{"no go.mod", "module_fatal", "go.mod file not found"},
	{"a go line newer than the toolchain", "module_fatal", "go.mod requires go"},
	{"inconsistent vendoring", "module_fatal", "inconsistent vendoring"},
	{"no go command", "module_no_go", "executable file not found"},

	// Which files are written and removed.
	{"a stale file stays whose entity is excluded by constraints", "files_stale", "exists plan_kixx.go"},
	{"a user's file of such a name", "files_stale", "file was not written by kixxgen"},
	{"one mistake in one of two packages", "files_all_or_none", "! exists good/kixx.schema.json"},
	{"a read-only directory", "files_all_or_none", "chmod 555 good"},
	{"a directory in the place of a file", "files_all_or_none", "is a directory, where a generated file should be"},
	{"a file in the place of a directory", "files_all_or_none", "cp file.txt good/testdata"},
	{"what a killed run has left", "files_all_or_none", ".kixxgen-1-good_kixx.go"},

	// Positions.
	{"raw tags", "wrong_columns", "`json:\"çé\" kixx:\"indx\"`"},
	{"interpreted tags with escapes", "wrong_columns", "\"json:\\\"\\u00e9\\\" kixx"},
	{"tags of several lines", "wrong_columns", "kixx:\"index,\nindx\""},
	{"CRLF", "wrong_columns", "unix2dos crlf.go"},
	{"a byte order mark", "wrong_columns", "bom bom.go"},
	{"//line", "wrong_columns", "//line elsewhere.tmpl:100:7"},

	// Silent misses.
	{"a directive behind a blank line", "wrong_directives", "type Blank struct"},
	{"a directive with a blank", "wrong_directives", "type Spaced struct"},
	{"a directive on a group", "wrong_directives", "move it to the type inside the parentheses"},
	{"an entity in an excluded file", "module_constraints", "entity Box is in a file that build constraints exclude"},
	{"an entity in a function", "wrong_directives", "a type inside a function cannot be an entity"},
	{"an alias", "wrong_directives", "type Alias = Grouped"},
	{"a generic type", "wrong_directives", "type Generic[T any] struct"},
	{"directives with CRLF, a byte order mark, //line, behind other text", "wrong_misses", "var é, b = 1, /* é */ 2 //kixx:entity"},
	{"a misspelt tag key", "wrong_misses", "tag key \"kix\" has no effect"},

	// Views.
	{"a view function is missing", "wrong_views", "there is no function missing"},
	{"a view function of another signature", "wrong_views", "byValue is a func(it Item"},
	{"a view function for another system", "wrong_views", "the one in item_plan9.go is excluded"},
	{"a view function for tests alone", "wrong_in_tests", "is there for tests alone"},
	{"a generic view function", "wrong_views", "func generic[V any]"},

	// The schema file.
	{"conflict markers", "schema_merge", "cp conflict.txt kixx.schema.json"},
	{"two branches", "schema_branches", "kixx.schema.json"},
	{"edited by hand", "schema_merge", "cp garbage.txt kixx.schema.json"},

	// As a tool.
	{"go generate in another module", "go_generate", "exec go generate ./..."},
	{"a mistake ends go generate", "go_generate", "! exec go generate ./..."},
	{"a workspace", "go_generate", "cp go.work.txt go.work"},
	{"a go.mod for tools", "go_generate", "go tool -modfile=tools.mod kixxgen"},
	{"the tool from vendor", "go_vendor", "exec go generate ./..."},

	// check.
	{"check: clean", "check", "exits 0 kixxgen check"},
	{"check: stale", "check", "cp item2.txt item.go"},
	{"check: missing", "check", "4 files are stale"},
	{"check: one too many", "check", "cp item_kixx.go gone_kixx.go"},
	{"check: mistakes", "check", "exits 3 kixxgen check"},
	{"check: CRLF", "check", "unix2dos item_kixx.go"},
	{"check: an empty build cache", "check_cold", "env GOCACHE=$WORK/cache"},

	// Names.
	{"two entities whose files fold", "wrong_names", "would both be generated to url_kixx.go"},
	{"a name of the user's", "wrong_names", "type ItemRepo struct{}"},
	{"an index against a view", "wrong_clashes", "view ByTitle: QueryByTitle is already declared"},
	{"a method of the repository", "wrong_names", "method QueryByPrice of ItemRepo is generated"},
	{"a method named as the generic repository inside", "wrong_clashes", "method Repo of ItemRepo"},
	{"an accessor of a promoted field", "wrong_clashes", "field Base.Name: ItemPeek already has a method Name"},
	{"a name of two entities", "wrong_clashes", "NewItemRepo would be generated twice"},
	{"a file of the user's that folds", "wrong_clashes", "Owner_kixx.go:1:1"},
	{"a declaration of a test file", "wrong_in_tests", "a test file declares DraftRepo"},

	// The same bytes.
	{"one processor and eight", "same_bytes", "env GOMAXPROCS=8"},
	{"all packages and each one", "same_bytes", "kixxgen example.com/app/b"},
	{"another working directory", "same_bytes", "kixxgen ../a/... ."},
}

// TestEveryScenarioHasAnArchive finds each scenario where the table says that it is, and a line at the head of each archive
// that says what it shows.
func TestEveryScenarioHasAnArchive(t *testing.T) {
	content := map[string]string{}
	names, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(filepath.Base(name), ".txtar")
		content[base] = strings.ReplaceAll(string(text), `\"`, `"`) + string(text)
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not begin with a comment that says what it shows", name)
		}
	}
	seen := map[string]bool{}
	for _, s := range scenarios {
		if seen[s.what] {
			t.Errorf("scenario %q is there twice", s.what)
		}
		seen[s.what] = true
		found := false
		for base, text := range content {
			matches, err := filepath.Match(s.archive, base)
			found = found || err == nil && matches && strings.Contains(text, s.witness)
		}
		if !found {
			t.Errorf("scenario %q: %s has no %q", s.what, s.archive, s.witness)
		}
	}
	t.Logf("%d scenarios in %d archives", len(scenarios), len(content))
}
