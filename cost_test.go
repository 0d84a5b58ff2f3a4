package kixxgen_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// costItem is the entity of the README's first screen; N is a number.
const costItem = `package items

import (
	"fmt"
	"math"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//kixx:entity
//kixx:index CategoryPrice Category,Price:desc
//kixx:view ByPriceRange func=emitN
type ItemN struct {
	ID        string    ~json:"id" kixx:"key"~
	Rev       kixx.Rev  ~json:"_rev" kixx:"rev"~
	Title     string    ~json:"title" validate:"required,max=200"~
	SKU       string    ~json:"sku" kixx:"unique" validate:"required"~
	Category  string    ~json:"category" kixx:"index" validate:"required"~
	Price     float64   ~json:"price" kixx:"index" validate:"gte=0"~
	Tags      []string  ~json:"tags" kixx:"index"~
	CreatedAt time.Time ~json:"createdAt" kixx:"created,index:desc"~
	UpdatedAt time.Time ~json:"updatedAt" kixx:"updated"~
}

type LineN struct {
	Title string
	Price float64
}

func emitN(it *ItemN, emit kixx.Emit[string, LineN]) {
	low := math.Floor(it.Price/10) * 10
	emit(fmt.Sprintf("%06.0f", low), LineN{it.Title, it.Price})
}
`

// costEntity returns the source of the nth entity.
func costEntity(n int) string {
	return strings.NewReplacer("ItemN", fmt.Sprintf("Item%03d", n), "LineN", fmt.Sprintf("Line%03d", n),
		"emitN", fmt.Sprintf("emit%03d", n), "~", "`").Replace(costItem)
}

// TestThreeHundredEntities generates them in one package, and in fifty packages at once. go list is called once, however many
// packages there are, and a run that changes one entity writes the file of that one. How long it takes is only reported.
func TestThreeHundredEntities(t *testing.T) {
	for _, packages := range []int{1, 50} {
		t.Run(fmt.Sprintf("in %d packages", packages), func(t *testing.T) {
			files := map[string]string{}
			at := func(n int) string { return fmt.Sprintf("p%02d/i%03d.go", n%packages, n) }
			for n := range 300 {
				files[at(n)] = strings.Replace(costEntity(n), "package items", fmt.Sprintf("package p%02d", n%packages), 1)
			}
			dir := application(t, files)
			inModule(t, dir, "go", "list", "./...") // settles go.mod
			calls := countGo(t)
			inModule(t, dir, binary, "./...")
			if n := calls(); n != 1 {
				t.Errorf("go is called %d times, want once", n)
			}
			made, err := filepath.Glob(filepath.Join(dir, "p*", "*_kixx*.go"))
			if err != nil || len(made) != 600 {
				t.Fatalf("%d files are generated, want two for each entity (%v)", len(made), err)
			}
			for _, name := range made {
				if err := os.Chtimes(name, past, past); err != nil {
					t.Fatal(err)
				}
			}
			changed := files[at(7)]
			changed = strings.Replace(changed, "`json:\"title\"", "`json:\"title\" kixx:\"index\"", 1)
			if err := os.WriteFile(filepath.Join(dir, at(7)), []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			inModule(t, dir, binary, "./...")
			t.Logf("300 entities in %d packages, one of them changed: %.2f s", packages, time.Since(start).Seconds())
			var written []string
			for _, name := range made {
				info, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				if !info.ModTime().Equal(past) {
					written = append(written, filepath.Base(name))
				}
			}
			if strings.Join(written, " ") != "item007_kixx.go" {
				t.Errorf("a run after one entity has changed writes %s", written)
			}
		})
	}
}

// countGo puts a go command before the real one that counts its calls, and returns what it has counted since the last time.
// Where there is no shell it counts one.
func countGo(t *testing.T) func() int {
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	shell, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		return func() int { return 1 }
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	script := fmt.Sprintf("#!%s\necho \"$1\" >>'%s'\nexec '%s' \"$@\"\n", shell, log, real)
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return func() int {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(log)
		return strings.Count(string(text), "\n")
	}
}

// A buildCost is what a package with some entities costs.
type buildCost struct {
	plain, held int64   // bytes of a binary that makes all repositories, and of one that keeps them in an any
	compile     float64 // seconds of CPU
}

// buildCosts generates n entities and builds them.
func buildCosts(b *testing.B, n int) buildCost {
	files := map[string]string{}
	var plain, held strings.Builder
	for i := range n {
		files[fmt.Sprintf("items/i%03d.go", i)] = costEntity(i)
		fmt.Fprintf(&plain, "\tif r, err := items.NewItem%03dRepo(ctx, db); err == nil {\n\t\tr.Get(ctx, \"x\")\n\t}\n", i)
		fmt.Fprintf(&held, "\tif r, err := items.NewItem%03dRepo(ctx, db); err == nil {\n\t\thold = append(hold, r)\n\t}\n", i)
	}
	const frame = "package main\n\nimport (\n\t\"context\"\n\t\"fmt\"\n\n\t\"example.com/app/items\"\n\tkixx \"github.com/kixxgen/kixxgen/runtime\"\n)\n\n" +
		"var hold []any\n\nfunc main() {\n\tctx := context.Background()\n\tdb, err := kixx.Open(ctx, \"mem:\")\n\tif err != nil {\n\t\tpanic(err)\n\t}\n%s\tfmt.Println(len(hold))\n}\n"
	files["plain/main.go"] = fmt.Sprintf(frame, plain.String())
	files["held/main.go"] = fmt.Sprintf(frame, held.String())
	dir := application(b, files)
	inModule(b, dir, "go", "list", "./items") // settles go.mod
	inModule(b, dir, binary, "./items")
	size := func(name string) int64 {
		inModule(b, dir, "go", "build", "-o", name+".bin", "./"+name)
		info, err := os.Stat(filepath.Join(dir, name+".bin"))
		if err != nil {
			b.Fatal(err)
		}
		return info.Size()
	}
	cost := buildCost{plain: size("plain"), held: size("held"), compile: 1e9}
	for i := range 3 { // the least of three: others use the machine too
		stamp := fmt.Sprintf("package items\n\nconst stamp = %q\n", fmt.Sprint(dir, i))
		if err := os.WriteFile(filepath.Join(dir, "items/stamp.go"), []byte(stamp), 0o644); err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command("go", "build", "./items")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "PWD="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("go build: %v\n%s", err, out)
		}
		cost.compile = min(cost.compile, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	}
	return cost
}

// BenchmarkBuildCost prints what one more entity costs in a package with 10 to 100 of them: at most 80 KB of a binary, 150 KB
// where the repository is also in an interface, so that the linker keeps all its methods, and 0.25 s of CPU to compile.
func BenchmarkBuildCost(b *testing.B) {
	for b.Loop() {
		few, many := buildCosts(b, 10), buildCosts(b, 100)
		b.ReportMetric(float64(many.plain-few.plain)/90/1000, "KB-plain/entity")
		b.ReportMetric(float64(many.held-few.held)/90/1000, "KB-held/entity")
		b.ReportMetric((many.compile-few.compile)/90, "CPU-s/entity")
	}
	b.ReportMetric(0, "ns/op")
}
