package kixxgen_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// application makes a module that uses this repository, with the files given, and returns its directory.
func application(t testing.TB, files map[string]string) string {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	goMod, goSum := module(t, root)
	dir := t.TempDir()
	all := map[string]string{"go.mod": string(goMod), "go.sum": string(goSum)}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inModule runs a command in dir, without a network.
func inModule(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "PWD="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}

// TestManualExampleWorks takes the worked example out of the package comment of the command, generates its repository and
// compiles both the struct and the calls that the comment shows.
func TestManualExampleWorks(t *testing.T) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "cmd/kixxgen/main.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string // indented parts of the comment
	inside := false
	for _, line := range strings.Split(file.Doc.Text(), "\n") {
		switch {
		case strings.HasPrefix(line, "\t"):
			if !inside {
				blocks = append(blocks, "")
			}
			inside = true
			blocks[len(blocks)-1] += line[1:] + "\n"
		case line == "" && inside:
			blocks[len(blocks)-1] += "\n"
		default:
			inside = false
		}
	}
	var item, calls, post string
	for _, b := range blocks {
		if strings.HasPrefix(b, "type Post struct") {
			post = b
		}
		if strings.HasPrefix(b, "package inventory") {
			item = b
		}
		if strings.Contains(b, "NewItemRepo") {
			calls = b
		}
	}
	if item == "" || calls == "" || post == "" {
		t.Fatalf("the package comment has no example; its code is\n%s", strings.Join(blocks, "---\n"))
	}
	dir := application(t, map[string]string{
		"inventory/item.go": item,
		"blog/post.go":      "package blog\n\nimport kixx \"github.com/kixxgen/kixxgen/runtime\"\n\n//kixx:entity\n" + post,
		"blog/use.go": "package blog\n\nimport \"context\"\n\nfunc use(ctx context.Context, posts *PostRepo, base, mine *Post) {\n" +
			"\tposts.Get(ctx, PostKey{Tenant: \"acme\", Slug: \"hello\"})\n\tposts.RangeByKey(\"acme\").Prefix(\"he\")\n" +
			"\tposts.Merge(ctx, base, mine)\n\tvar _ PostKey = mine.Key()\n}\n",
		"main.go": "package main\n\nimport (\n\t\"context\"\n\t\"example.com/app/inventory\"\n\tkixx \"github.com/kixxgen/kixxgen/runtime\"\n)\n\n" +
			"func use(ctx context.Context) error {\n" + calls + "\t_, _, _ = it, page, dear\n\treturn err\n}\n\nfunc main() { use(context.Background()) }\n",
	})
	inModule(t, dir, binary, "./...")
	inModule(t, dir, "go", "vet", "./...")
}

// TestManyEntities generates a package with many entities, and prints how long it takes: 30 of them by default, 300 with
// KIXX_CI, which is to take a second on an idle machine, and 3000 with KIXX_LONG.
func TestManyEntities(t *testing.T) {
	n := 30
	if os.Getenv("KIXX_CI") != "" {
		n = 300
	}
	if os.Getenv("KIXX_LONG") != "" {
		n = 3000
	}
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("e%04d.go", i)] = strings.ReplaceAll(`package app

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//kixx:entity
//kixx:index CategoryPrice Category,Price:desc
type ItemN struct {
	ID        string    `+"`json:\"id\" kixx:\"key\"`"+`
	Rev       kixx.Rev  `+"`json:\"_rev\" kixx:\"rev\"`"+`
	SKU       string    `+"`json:\"sku\" kixx:\"unique\"`"+`
	Category  string    `+"`json:\"category\" kixx:\"index\"`"+`
	Price     float64   `+"`json:\"price\" kixx:\"index\"`"+`
	Tags      []string  `+"`json:\"tags\" kixx:\"index\"`"+`
	CreatedAt time.Time `+"`json:\"createdAt\" kixx:\"created,index:desc\"`"+`
	UpdatedAt time.Time `+"`json:\"updatedAt\" kixx:\"updated\"`"+`
}
`, "ItemN", "Item"+strconv.Itoa(i))
	}
	dir := application(t, files)
	inModule(t, dir, "go", "list", ".") // settles go.mod, which is no work of the generator
	start := time.Now()
	inModule(t, dir, binary)
	first := time.Since(start)
	start = time.Now()
	inModule(t, dir, binary, "check")
	again := time.Since(start)
	made, err := filepath.Glob(filepath.Join(dir, "*_kixx.go"))
	if err != nil || len(made) != n {
		t.Fatalf("%d files were generated for %d entities: %v", len(made), n, err)
	}
	t.Logf("%d entities: %v, check %v", n, first.Round(time.Millisecond), again.Round(time.Millisecond))
}

// TestManualShowsHowEntitiesChange takes the fields and the migration out of the manual's part on changes, and generates an
// entity first as it was before them and then with them.
func TestManualShowsHowEntitiesChange(t *testing.T) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "cmd/kixxgen/main.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(file.Doc.Text(), "# How entities change")
	part, _, _ = strings.Cut(part, "# The schema file")
	var fields, directive, function string
	for line := range strings.Lines(part) {
		code, indented := strings.CutPrefix(line, "\t")
		switch {
		case !indented:
		case strings.Contains(code, "`"):
			fields += code
		case strings.HasPrefix(code, "//kixx:"):
			directive = code
		default:
			function += code
		}
	}
	const start = "package app\n\nimport (\n\tkixx \"github.com/kixxgen/kixxgen/runtime\"\n)\n\n//kixx:entity\n"
	const keys = "\tID string `kixx:\"key\"`\n\tRev kixx.Rev `kixx:\"rev\"`\n"
	before := start + "type Item struct {\n" + keys + "Name string `json:\"name\"`\nColor string `json:\"color\"`\nPrice float64 `json:\"price\"`\n}\n"
	after := strings.Replace(start, "import (", "import (\n\t\"math\"\n", 1) + directive + "type Item struct {\n" + keys + fields + "Price int64 `json:\"price\"`\n}\n\n" + function
	dir := application(t, map[string]string{"item.go": before})
	inModule(t, dir, binary, ".")
	if err := os.WriteFile(filepath.Join(dir, "item.go"), []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
	inModule(t, dir, binary, ".")
	inModule(t, dir, "go", "vet", ".")
	inModule(t, dir, "go", "test", ".")
}
