// Command peers measures this project beside what people would pick instead:
//
//	go run -C bench ./cmd/peers [-n 100000] [-peer name,…] [-operation name,…] [-rounds 3] [-span 200ms] [-json file] [-dir directory] [-profiles directory]
//
// It checks first that every peer does the work, then measures all of them by turns, each in a process of its own, and at
// last kills these processes and checks that no acknowledged write is lost. It prints a table in Markdown. What a run has
// found is written to a file with -json, and
//
//	go run -C bench ./cmd/peers -report [-chart file.svg] results.jsonl …
//
// prints the tables of such files, and draws a chart, and
//
//	go run -C bench ./cmd/peers -docs ../docs
//
// puts those of the files in docs/benchmarks into docs/benchmarks.md and README.md, and draws docs/benchmarks.svg.
//
//	go run -C bench ./cmd/peers -syncs
//
// counts with strace how often each durable peer tells the disk to keep what was written.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/bench/peers"
)

func main() {
	peers.Child()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	p := peers.Plan{}
	flag.IntVar(&p.N, "n", 100_000, "how many documents there are")
	flag.IntVar(&p.Rounds, "rounds", 3, "how often each peer has its turn at an operation")
	flag.DurationVar(&p.Span, "span", 200*time.Millisecond, "how long a turn is")
	flag.StringVar(&p.Dir, "dir", "", "where the databases are made")
	flag.StringVar(&p.Profiles, "profiles", "", "a directory for a profile of the processor of the last turn of each peer and operation")
	names := flag.String("peer", "", "the peers, separated by commas; all if it is empty")
	operations := flag.String("operation", "", "the operations, separated by commas; all if it is empty")
	file := flag.String("json", "", "a file for all results")
	report := flag.Bool("report", false, "print the tables of files of results")
	docs := flag.String("docs", "", "the directory of the documents to bring up to date")
	chart := flag.String("chart", "", "a file for a chart of the results, in SVG")
	syncs := flag.Bool("syncs", false, "count syncs with strace")
	flag.Parse()
	if *docs != "" {
		return updateDocs(*docs)
	}
	if *report {
		return printReport(flag.Args(), *chart)
	}
	if flag.NArg() > 0 || p.N < 3000 || p.Rounds < 1 || p.Span <= 0 {
		return fmt.Errorf("bad arguments %q; see -help", os.Args[1:])
	}
	p.Kinds = peers.Kinds()
	if *names != "" {
		var err error
		if p.Kinds, err = peers.Select(strings.Split(*names, ",")); err != nil {
			return err
		}
	}
	if *operations != "" {
		p.Operations = strings.Split(*operations, ",")
		for _, name := range p.Operations {
			if _, err := peers.FindOperation(name); err != nil {
				return err
			}
		}
	}
	if *syncs {
		return printSyncs(p)
	}
	var out *json.Encoder
	if *file != "" {
		f, err := os.Create(*file)
		if err != nil {
			return err
		}
		defer f.Close()
		out = json.NewEncoder(f)
	}
	began := time.Now()
	p.Log = func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%4.0f s: %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	var results []peers.Result
	err := peers.Run(p, func(r peers.Result) error {
		results = append(results, r)
		if out == nil {
			return nil
		}
		return out.Encode(r)
	})
	if err != nil {
		return err
	}
	if err := drawChart(results, *chart); err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n%s", peers.Short(results), peers.Targets(results), peers.Report(results))
	return nil
}

func printReport(files []string, chart string) error {
	var results []peers.Result
	for _, file := range files {
		list, err := peers.ReadResults(file)
		if err != nil {
			return err
		}
		results = append(results, list...)
	}
	if err := drawChart(results, chart); err != nil {
		return err
	}
	fmt.Print(peers.Report(results))
	return nil
}

func updateDocs(dir string) error {
	results, err := peers.ReadAll(filepath.Join(dir, "benchmarks"))
	if err != nil {
		return err
	}
	sections := peers.Sections(results)
	for _, file := range []string{filepath.Join(dir, "benchmarks.md"), filepath.Join(dir, "..", "README.md")} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		filled, err := peers.Fill(string(text), sections)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(file, []byte(filled), 0o666); err != nil {
			return err
		}
	}
	return drawChart(results, filepath.Join(dir, "benchmarks.svg"))
}

func drawChart(results []peers.Result, file string) error {
	if file == "" {
		return nil
	}
	return os.WriteFile(file, []byte(peers.Chart(results)), 0o666)
}

func printSyncs(p peers.Plan) error {
	text, err := peers.Syncs(p)
	if err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}
