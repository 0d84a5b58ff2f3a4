package structs

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A source is a package whose exported structs become the fields of an entity.
type source struct {
	entity, path string
	only         string // names, separated by blanks; "": all exported structs
	long         bool   // only with KIXX_LONG=1: it takes a while to compile
}

var sources = []source{
	{entity: "Tar", path: "archive/tar"},
	{entity: "Zip", path: "archive/zip"},
	{entity: "Pkix", path: "crypto/x509/pkix"},
	{entity: "SQL", path: "database/sql"},
	{entity: "Pem", path: "encoding/pem"},
	{entity: "Image", path: "image"},
	{entity: "Big", path: "math/big"},
	{entity: "Mail", path: "net/mail"},
	{entity: "Netip", path: "net/netip"},
	{entity: "Net", path: "net"},
	{entity: "URL", path: "net/url"},
	{entity: "HTTP", path: "net/http"},
	{entity: "Time", path: "time"},
	{entity: "Pgtype", path: "github.com/jackc/pgx/v5/pgtype"},
	{entity: "Decimal", path: "github.com/shopspring/decimal"},
	{entity: "Meta", path: "k8s.io/apimachinery/pkg/apis/meta/v1", only: "ObjectMeta TypeMeta LabelSelector OwnerReference ListMeta Condition Time MicroTime Status"},
	{entity: "Core", path: "k8s.io/api/core/v1", only: "Pod Service ConfigMap Secret Node Event PersistentVolume", long: true},
	{entity: "GitHub", path: "github.com/google/go-github/v81/github", only: "Repository User Issue PullRequest Commit RepositoryRelease WorkflowRun PushEvent", long: true},
	{entity: "Stripe", path: "github.com/stripe/stripe-go/v82", only: "Customer Charge Invoice Subscription Price Product PaymentIntent", long: true},
}

// TestRealStructs generates repositories for entities whose fields are the structs of other people. What cannot be stored is
// in testdata/refused.txt with the reason; everything else is stored, read back after the database was closed, and compared.
func TestRealStructs(t *testing.T) {
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(dir, "kixxgen")
	run(t, "../..", "go", "build", "-o", command, "./cmd/kixxgen")
	own, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	own = bytes.Replace(own, []byte("module github.com/kixxgen/kixxgen/bench/structs"), []byte("module example.com/app"), 1)
	own = bytes.Replace(own, []byte("=> ../.."), fmt.Appendf(nil, "=> %q", filepath.ToSlash(root)), 1)
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(dir, "app")
	for name, content := range map[string][]byte{"go.mod": own, "go.sum": sum} {
		write(t, filepath.Join(app, name), content)
	}
	copyFile(t, "testdata/app_test.go.txt", filepath.Join(app, "app_test.go"))

	refused := map[string]string{}
	total := 0
	var tests strings.Builder
	tests.WriteString("package app\n\nimport (\n\t\"context\"\n\t\"testing\"\n\n\tkixx \"github.com/kixxgen/kixxgen/runtime\"\n)\n\n")
	for _, s := range sources {
		if s.long && os.Getenv("KIXX_LONG") == "" {
			continue
		}
		names := s.names(t)
		total += len(names)
		left := s.entityFile(t, app, names)
		for name, why := range wrong(t, command, app, strings.ToLower(s.entity)+".go", left) {
			refused[s.path+"."+name] = why
			names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		}
		s.entityFile(t, app, names)
		if len(names) == 0 {
			os.Remove(filepath.Join(app, strings.ToLower(s.entity)+".go"))
			continue
		}
		fmt.Fprintf(&tests, "func Test%[1]s(t *testing.T) {\n\troundTrips[%[1]s](t, func(ctx context.Context, db *kixx.DB) (*%[1]sRepo, error) { return New%[1]sRepo(ctx, db) })\n}\n\n", s.entity)
	}
	write(t, filepath.Join(app, "repos_test.go"), []byte(tests.String()))
	run(t, app, command)
	run(t, app, "go", "vet", ".")
	out := run(t, app, "go", "test", "-count=1", "-v", ".")
	for line := range strings.Lines(out) {
		if strings.Contains(line, "values of") {
			t.Log(strings.TrimSpace(line[strings.Index(line, ": ")+2:]))
		}
	}
	t.Logf("%d structs of %d packages, %d refused", total, len(sources), len(refused))

	compare(t, "testdata/refused.txt", refused, false)
	if os.Getenv("KIXX_LONG") != "" {
		compare(t, "testdata/refused_long.txt", refused, true)
	}
}

// compare holds what was refused, of the packages that are always taken or of the others, against a golden file.
func compare(t *testing.T, golden string, refused map[string]string, long bool) {
	t.Helper()
	isLong := func(name string) bool {
		return slices.ContainsFunc(sources, func(s source) bool { return s.long && strings.HasPrefix(name, s.path+".") })
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if isLong(name) == long {
			fmt.Fprintf(&b, "%s: %s\n", name, refused[name])
		}
	}
	if *update {
		write(t, golden, []byte(b.String()))
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("refused is\n%s\nwant (%s)\n%s", b.String(), golden, want)
	}
}

// names returns the exported structs of the package.
func (s *source) names(t *testing.T) []string {
	t.Helper()
	if s.only != "" {
		return strings.Fields(s.only)
	}
	var listed struct {
		Dir     string
		GoFiles []string
	}
	if err := json.Unmarshal([]byte(run(t, ".", "go", "list", "-json=Dir,GoFiles", s.path)), &listed); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range listed.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(listed.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() && spec.TypeParams == nil {
				if _, ok := spec.Type.(*ast.StructType); ok {
					names = append(names, spec.Name.Name)
				}
			}
			_, isFunc := n.(*ast.FuncDecl)
			return !isFunc
		})
	}
	slices.Sort(names)
	return names
}

// entityFile writes an entity with fields of the structs, and returns the struct that each line is about.
func (s *source) entityFile(t *testing.T, app string, names []string) map[int]string {
	t.Helper()
	var b strings.Builder
	lines := map[int]string{}
	fmt.Fprintf(&b, "package app\n\nimport (\n\tkixx \"github.com/kixxgen/kixxgen/runtime\"\n\tp %q\n)\n\n", s.path)
	fmt.Fprintf(&b, "//kixx:entity\ntype %s struct {\n\tID string `kixx:\"key\"`\n\tRev kixx.Rev `kixx:\"rev\"`\n", s.entity)
	for _, name := range names {
		for _, field := range []string{"One%s p.%[1]s", "List%s []*p.%[1]s", "Map%s map[string]p.%[1]s"} {
			lines[strings.Count(b.String(), "\n")+1] = name
			fmt.Fprintf(&b, "\t"+field+"\n", name)
		}
	}
	b.WriteString("}\n")
	write(t, filepath.Join(app, strings.ToLower(s.entity)+".go"), []byte(b.String()))
	return lines
}

var problem = regexp.MustCompile(`(?m)^(\w+\.go):(\d+):\d+: field \w+: (.*)$`)

// wrong returns the structs that kixxgen refuses in a file, with the reasons. Nothing is written.
func wrong(t *testing.T, command, app, file string, lines map[int]string) map[string]string {
	t.Helper()
	cmd := exec.Command(command, "check")
	cmd.Dir = app
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("kixxgen check found everything fresh")
	}
	found := map[string]string{}
	for _, m := range problem.FindAllStringSubmatch(string(out), -1) {
		var line int
		fmt.Sscan(m[2], &line)
		if m[1] == file && found[lines[line]] == "" && lines[line] != "" && !strings.HasPrefix(m[3], "not stored, since") {
			found[lines[line]] = m[3]
		}
	}
	return found
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%.4000s%.4000s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o666); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, content)
}
