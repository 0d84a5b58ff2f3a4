// Command cost prints what entities cost an application: seconds to generate their code, its lines, seconds of CPU to compile
// it, bytes of the binary; for this project, and for ent, sqlc and gorm gen, which generate typed code over SQL, with the same
// fields and indexes.
//
//	cd bench/cost && go run . [-few 10] [-many 100] [-runs 3] [-only name]
//
// The first table is of slopes: what many entities cost more than few of them, divided by their number. So what an application
// pays once, whatever it stores, is not in it. The second one is of all the many. Other work on the machine makes seconds more: the
// least of the runs counts.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A generator is one that is measured.
type generator struct {
	name     string
	source   func(n int) map[string]string // of an application with n entities, by path; a program is in each of plain and held
	generate []string                      // the command that is run in the application
	packages string                        // what is generated, as a pattern of go build
}

var generators = []generator{kixxgen, ent, sqlc, gorm}

// A cost is what an application with some entities takes.
type cost struct {
	plain, held int64   // bytes of a binary that gets a document of every entity, and of one that keeps what has all methods
	compile     float64 // seconds of CPU
	generate    float64 // seconds, of a command that was run before
	lines       int
}

func main() {
	few := flag.Int("few", 10, "entities of the smaller application")
	many := flag.Int("many", 100, "entities of the larger application")
	runs := flag.Int("runs", 3, "how often each is generated and compiled")
	only := flag.String("only", "", "one generator")
	flag.Parse()
	var slopes, totals [][]string
	for _, g := range generators {
		if *only != "" && *only != g.name {
			continue
		}
		a, err := g.measure(*few, *runs)
		if err != nil {
			log.Fatalf("%s: %v", g.name, err)
		}
		b, err := g.measure(*many, *runs)
		if err != nil {
			log.Fatalf("%s: %v", g.name, err)
		}
		n := float64(*many - *few)
		slopes = append(slopes, []string{g.name, fmt.Sprintf("%.0f KB", float64(b.plain-a.plain)/n/1000), fmt.Sprintf("%.0f KB", float64(b.held-a.held)/n/1000),
			fmt.Sprintf("%.2f s", (b.compile-a.compile)/n), fmt.Sprintf("%.0f", float64(b.lines-a.lines)/n)})
		totals = append(totals, []string{g.name, fmt.Sprintf("%.1f s", b.generate), fmt.Sprint(b.lines), fmt.Sprintf("%.0f s", b.compile),
			fmt.Sprintf("%.1f MB", float64(b.plain)/1e6), fmt.Sprintf("%.1f MB", float64(b.held)/1e6)})
	}
	printTable("per entity | binary, plain | binary, held | CPU to compile | lines generated", slopes)
	fmt.Println()
	printTable(fmt.Sprintf("%d entities | generate | lines | CPU to compile | binary, plain | binary, held", *many), totals)
}

// printTable prints a table in Markdown.
func printTable(head string, rows [][]string) {
	fmt.Printf("| %s |\n| ---%s |\n", head, strings.Repeat(" | ---:", strings.Count(head, "|")))
	for _, row := range rows {
		fmt.Printf("| %s |\n", strings.Join(row, " | "))
	}
}

// measure makes an application with n entities, and builds it.
func (g generator) measure(n, runs int) (cost, error) {
	dir, err := os.MkdirTemp("", "kixxgen-cost")
	if err != nil {
		return cost{}, err
	}
	defer os.RemoveAll(dir)
	files := g.source(n)
	if err := addModule(files); err != nil {
		return cost{}, err
	}
	for name, content := range files {
		if err := write(filepath.Join(dir, name), content); err != nil {
			return cost{}, err
		}
	}
	var c cost
	for i := range runs + 1 { // the first one builds the command
		began := time.Now()
		if _, err := run(dir, g.generate...); err != nil {
			return cost{}, err
		}
		if took := time.Since(began).Seconds(); i == 1 || i > 1 && took < c.generate {
			c.generate = took
		}
	}
	for _, one := range []struct {
		name string
		size *int64
	}{{"plain", &c.plain}, {"held", &c.held}} {
		if _, err := run(dir, "go", "build", "-o", one.name+".bin", "./"+one.name); err != nil {
			return c, err
		}
		info, err := os.Stat(filepath.Join(dir, one.name+".bin"))
		if err != nil {
			return c, err
		}
		*one.size = info.Size()
	}
	if c.lines, err = generated(dir, files); err != nil {
		return c, err
	}
	for i := range runs {
		if err := stamp(dir, fmt.Sprint(dir, i)); err != nil {
			return c, err
		}
		took, err := run(dir, "go", "build", g.packages)
		if err != nil {
			return c, err
		}
		if i == 0 || took < c.compile {
			c.compile = took
		}
	}
	return c, nil
}

// addModule adds the go.mod of an application to files: the one of this command, under another name.
func addModule(files map[string]string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		return err
	}
	files["go.mod"] = strings.NewReplacer("module github.com/kixxgen/kixxgen/bench/cost", "module example.com/app", "=> ../..", "=> "+filepath.ToSlash(root)).
		Replace(string(mod))
	files["go.sum"] = string(sum)
	return nil
}

// write writes a file and makes its directory.
func write(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o666)
}

// run runs a command in dir and returns the seconds of CPU that it took.
func run(dir string, args ...string) (float64, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "PWD="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}

// generated returns the number of lines of the Go files under dir that are not among files.
func generated(dir string, files map[string]string) (int, error) {
	lines := 0
	err := eachFile(dir, func(name string) error {
		rel, err := filepath.Rel(dir, name)
		if err != nil || files[filepath.ToSlash(rel)] != "" {
			return err
		}
		src, err := os.ReadFile(name)
		lines += strings.Count(string(src), "\n")
		return err
	})
	return lines, err
}

// stamp adds a constant to every package under dir, so that all of them are compiled anew.
func stamp(dir, text string) error {
	packages := map[string]string{}
	err := eachFile(dir, func(name string) error {
		src, err := os.ReadFile(name)
		for line := range strings.Lines(string(src)) {
			if clause, ok := strings.CutPrefix(line, "package "); ok {
				packages[filepath.Dir(name)] = strings.TrimSpace(clause)
				break
			}
		}
		return err
	})
	for at, name := range packages {
		if err == nil {
			err = write(filepath.Join(at, "stamp.go"), fmt.Sprintf("package %s\n\nconst costStamp = %q\n", name, text))
		}
	}
	return err
}

// eachFile calls do for each Go file under dir.
func eachFile(dir string, do func(name string) error) error {
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		return do(name)
	})
}
