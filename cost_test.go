package kixxgen_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
		files[fmt.Sprintf("items/i%03d.go", i)] = strings.ReplaceAll(strings.NewReplacer("ItemN", fmt.Sprintf("Item%03d", i),
			"LineN", fmt.Sprintf("Line%03d", i), "emitN", fmt.Sprintf("emit%03d", i)).Replace(costItem), "~", "`")
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
