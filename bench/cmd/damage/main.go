// Damage flips bits in the files of closed databases and says what the stores answer, as a table in Markdown.
//
//	go run ./cmd/damage [-peer name[,name…]] [-every k] [-docs n] [-dir directory] [-json file]
//
// All stores take some minutes on two processors. With -every 1 a bit of each byte is flipped: best with few documents,
// as in
//
//	go run ./cmd/damage -peer kixx,kixx-runs -docs 80 -every 1
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/kixxgen/kixxgen/bench/damage"
)

func main() {
	damage.Child(damage.Peers())
	var o damage.Options
	peers := flag.String("peer", "", "the stores to damage, separated by commas; all if it is empty")
	file := flag.String("json", "", "a file for the outcome of every flip")
	flag.IntVar(&o.Every, "every", 0, "flip a bit in each so manieth byte; 0: as fits for about 2,000 flips")
	flag.IntVar(&o.Documents, "docs", 200, "how many documents a database has")
	flag.StringVar(&o.Dir, "dir", "", "where the databases are made; /dev/shm if it is there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *peers, *file, o); err != nil {
		fmt.Fprintln(os.Stderr, "damage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names, file string, o damage.Options) error {
	if flag.NArg() > 0 || o.Every < 0 || o.Documents < 1 {
		return fmt.Errorf("bad arguments %q; see -help", os.Args[1:])
	}
	peers := damage.Peers()
	if names != "" {
		var err error
		if peers, err = damage.Select(peers, strings.Split(names, ",")); err != nil {
			return err
		}
	}
	var reports []*damage.Report
	for _, p := range peers {
		r, err := damage.Run(ctx, p, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %d flips in %.1f s; %d deaths that did not happen again\n", p.Name, len(r.Results), r.Seconds, r.Strays)
		reports = append(reports, r)
	}
	if file != "" {
		data, err := json.MarshalIndent(reports, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	return damage.WriteTable(os.Stdout, reports)
}
