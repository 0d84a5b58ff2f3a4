package damage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Options says how [Run] runs. The zero Options are those of the table.
type Options struct {
	Documents int           // how many there are: 200 if it is 0
	Every     int           // a bit is flipped in each so manieth byte; 0: as fits for about 2,000 flips
	Dir       string        // where the databases are; "": in /dev/shm if it is there, else in the directory for temporary files
	Workers   int           // processes at a time; 0: one for each processor
	Patience  time.Duration // how long one opening may take: 10 s if it is 0
}

// defaultFlips is about how many flips there are if nobody says otherwise.
const defaultFlips = 2000

// A Report is what came out for one peer.
type Report struct {
	Peer      string          `json:"peer"`
	Module    string          `json:"module"`
	Version   string          `json:"version"`
	Options   string          `json:"options,omitempty"`
	Documents int             `json:"documents"`
	Every     int             `json:"every"`
	Files     []File          `json:"files"`
	Counts    map[Outcome]int `json:"counts"`
	Strays    int             `json:"strays"` // deaths that did not happen again in a process of their own, and are not counted
	Seconds   float64         `json:"seconds"`
	Results   []Result        `json:"results"`
}

// A File is one file of a database.
type File struct {
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	Bytes int    `json:"bytes"` // of Size, without the zeros at the end, in which nothing is flipped
}

// A Result is what came out for one flip.
type Result struct {
	Flip
	Outcome   Outcome `json:"outcome"`
	Detail    string  `json:"detail,omitempty"`    // the first error, or what is wrong
	Documents int     `json:"documents,omitempty"` // that are wrong or missing, if the outcome is a silent one
}

// Run fills a database and flips its bits. Before that an undamaged copy must be right: else the error says what is not.
//
// The openings take place in child processes, which are this program again: see [Child].
func Run(ctx context.Context, p Peer, o Options) (*Report, error) {
	begun := time.Now()
	b, err := newBench(p, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	if err := b.checkUndamaged(ctx); err != nil {
		return nil, err
	}
	every := o.Every
	if every == 0 {
		every = b.image.every(defaultFlips)
	}
	report := &Report{
		Peer: p.Name, Module: p.Module, Version: version(p.Module), Options: p.Options,
		Documents: len(b.docs), Every: every, Counts: map[Outcome]int{},
	}
	for _, f := range b.image {
		report.Files = append(report.Files, File{Name: filepath.ToSlash(f.name), Size: f.size, Bytes: len(f.data)})
	}
	if report.Results, err = b.tryAll(ctx, b.image.flips(every)); err != nil {
		return nil, err
	}
	for _, r := range report.Results {
		report.Counts[r.Outcome]++
	}
	for _, w := range b.workers {
		report.Strays += w.strays
	}
	report.Seconds = time.Since(begun).Seconds()
	return report, nil
}

// A bench is a filled database, and the processes that open copies of it.
type bench struct {
	peer    Peer
	docs    []Document
	image   image
	dir     string
	workers []*worker
}

// newBench fills a database.
func newBench(p Peer, o Options) (*bench, error) {
	if o.Documents == 0 {
		o.Documents = 200
	}
	if o.Dir == "" {
		if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
			o.Dir = "/dev/shm"
		}
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	dir, err := os.MkdirTemp(o.Dir, "kixx-damage-")
	if err != nil {
		return nil, err
	}
	b := &bench{peer: p, docs: Documents(o.Documents), dir: dir}
	if err := b.fill(o); err != nil {
		b.close()
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return b, nil
}

func (b *bench) fill(o Options) error {
	files := filepath.Join(b.dir, "image")
	if err := os.Mkdir(files, 0o700); err != nil {
		return err
	}
	if err := b.peer.Store.Fill(files, b.docs); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	var err error
	if b.image, err = readImage(files); err != nil {
		return err
	}
	if b.image.bytes() == 0 {
		return fmt.Errorf("nothing is in %s after the database was filled and closed", files)
	}
	for i := range o.Workers {
		b.workers = append(b.workers, &worker{
			job:      job{Peer: b.peer.Name, Documents: len(b.docs), Image: files, Work: filepath.Join(b.dir, fmt.Sprintf("work-%d", i))},
			patience: o.Patience,
		})
	}
	return nil
}

// close ends the processes and removes the files.
func (b *bench) close() {
	for _, w := range b.workers {
		w.stop()
	}
	os.RemoveAll(b.dir)
}

// try tries one flip.
func (b *bench) try(ctx context.Context, flip Flip) (answer, error) {
	return b.workers[0].try(ctx, flip)
}

// checkUndamaged returns an error if a copy without a flip is not read as it was written.
func (b *bench) checkUndamaged(ctx context.Context) error {
	a, err := b.try(ctx, Flip{})
	if err == nil && a.Outcome != Harmless {
		err = fmt.Errorf("%s, undamaged: %s: %s", b.peer.Name, a.Outcome, a.Detail)
	}
	return err
}

// tryAll tries all flips and returns the results in their order.
func (b *bench) tryAll(ctx context.Context, flips []Flip) ([]Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]Result, len(flips))
	next := make(chan int)
	var wg sync.WaitGroup
	for _, w := range b.workers {
		wg.Go(func() {
			for i := range next {
				a, err := w.try(ctx, flips[i])
				if err != nil {
					cancel(err)
					return
				}
				results[i] = Result{Flip: flips[i], Outcome: a.Outcome, Detail: a.Detail, Documents: a.Documents}
			}
		})
	}
	for i := range flips {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return results, context.Cause(ctx)
}

// version returns the version of the module in this build.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == module {
			if d.Replace != nil {
				return "this tree"
			}
			return d.Version
		}
	}
	return ""
}
