// Command postgres measures repositories over PostgreSQL beside SQL that a person writes by hand, on one server, in one
// run, by turns:
//
//	go run . [-documents 20000] [-seconds 2] [-rounds 5] [-only set] [-parameters '&watch=on'] [-json file]
//
// The server is started for it, with fsync, from the binaries on this machine. The SQL is a table of columns with the
// same two indexes and a revision, statements that are prepared once, and a commit for each write: what sqlc makes.
//
// Before it measures, it compares what both return. It prints the medians of the rounds: operations per second and how
// many times the SQL that is, and the processor time of client and server for one operation in microseconds, and its ratio.
// Client and server share the machine.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// A contender does the work in one of the two ways. All methods are for any number of goroutines; each is given numbers of
// documents, of which there are n.
type contender interface {
	name() string
	open(ctx context.Context) error
	load(ctx context.Context, n int) error
	get(ctx context.Context, i int) (*Person, error)
	getByEmail(ctx context.Context, i int) (*Person, error)
	page(ctx context.Context, city int) ([]*Person, error)
	// set changes a document whose revision the contender knows, so that both index entries change.
	set(ctx context.Context, i int, round int) error
	// fresh forgets what the contender knows of documents, as a process has just started does.
	fresh(ctx context.Context) error
	close() error
}

const cities = 200

func email(i, round int) string { return fmt.Sprintf("person.%06d.%d@example.org", i, round) }
func city(i, round int) string  { return fmt.Sprintf("city %03d", (i+round)%cities) }
func id(i int) string           { return fmt.Sprintf("person:%06d", i) }
func created(i, round int) time.Time {
	return time.UnixMilli(1_700_000_000_000 + int64(i)*1000 + int64(round)).UTC()
}

// person returns document i as round has left it.
func person(i, round int) *Person {
	return &Person{ID: id(i), Email: email(i, round), City: city(i, round), Created: created(i, round),
		Name: fmt.Sprintf("Person %d", i), Bio: strings.Repeat("all that there is to say ", 8)}
}

// A job is one row of the table.
type job struct {
	name    string
	workers int
	do      func(ctx context.Context, c contender, r *rand.Rand, worker, workers, n int) error
	before  func(ctx context.Context, c contender) error
}

var rounds atomic.Int64 // makes each set another one

func jobs() (list []job) {
	get := func(ctx context.Context, c contender, r *rand.Rand, _, _, n int) error {
		_, err := c.get(ctx, r.IntN(n))
		return err
	}
	getByEmail := func(ctx context.Context, c contender, r *rand.Rand, _, _, n int) error {
		_, err := c.getByEmail(ctx, r.IntN(n))
		return err
	}
	page := func(ctx context.Context, c contender, r *rand.Rand, _, _, _ int) error {
		_, err := c.page(ctx, r.IntN(cities))
		return err
	}
	// Each worker has documents of its own, so that nobody is beaten.
	set := func(ctx context.Context, c contender, r *rand.Rand, worker, workers, n int) error {
		return c.set(ctx, r.IntN(n/workers)*workers+worker, int(rounds.Add(1)))
	}
	fresh := func(ctx context.Context, c contender) error { return c.fresh(ctx) }
	for _, w := range []int{1, 32} {
		list = append(list, job{"get", w, get, nil}, job{"page of 20", w, page, nil})
	}
	list = append(list, job{"get by unique email", 32, getByEmail, nil})
	for _, w := range []int{1, 32, 120} {
		list = append(list, job{"set, document read before", w, set, nil})
	}
	return append(list, job{"set, document not read before", 32, set, fresh})
}

func main() {
	documents := flag.Int("documents", 20_000, "how many documents there are")
	seconds := flag.Float64("seconds", 2, "how long a contender works at a time")
	times := flag.Int("rounds", 5, "how often each has its turn")
	only := flag.String("only", "", "only what has this in its name")
	parameters := flag.String("parameters", "", "added to the URL of the repository, as in &watch=on")
	file := flag.String("json", "", "write all results to this file, a line of JSON each")
	flag.Parse()
	if err := run(*documents, time.Duration(*seconds*float64(time.Second)), *times, *only, *parameters, *file); err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		os.Exit(1)
	}
}

func run(documents int, span time.Duration, times int, only, parameters, file string) error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	ctx := context.Background()
	server, err := pgtest.Start("fsync=on", "shared_buffers=256MB", "max_wal_size=4GB")
	if err != nil {
		return err
	}
	defer server.Stop()
	var contenders []contender
	for _, c := range []contender{&repository{url: server.URL() + parameters}, &byHand{url: server.URL()}} {
		if err := c.open(ctx); err != nil {
			return err
		}
		defer c.close()
		if err := c.load(ctx, documents); err != nil {
			return fmt.Errorf("%s: load: %w", c.name(), err)
		}
		contenders = append(contenders, c)
	}
	if err := compare(ctx, contenders, documents); err != nil {
		return err
	}
	var raw *os.File
	if file != "" {
		if raw, err = os.Create(file); err != nil {
			return err
		}
		defer raw.Close()
	}
	fmt.Printf("| what | workers | %s/s | %s/s | times | µs | µs | CPU |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", contenders[0].name(), contenders[1].name())
	for _, j := range jobs() {
		if !strings.Contains(j.name, only) {
			continue
		}
		results, cpus := make([][]float64, len(contenders)), make([][]float64, len(contenders))
		for round := range times {
			for k := range contenders {
				k = (k + round) % len(contenders)
				c := contenders[k]
				if j.before != nil {
					if err := j.before(ctx, c); err != nil {
						return err
					}
				}
				used := server.CPU() + ownCPU()
				rate, err := measure(ctx, c, j, documents, span)
				cpu := float64((server.CPU() + ownCPU() - used).Microseconds()) / (rate * span.Seconds())
				if err != nil {
					return fmt.Errorf("%s: %s: %w", c.name(), j.name, err)
				}
				results[k], cpus[k] = append(results[k], rate), append(cpus[k], cpu)
				if raw != nil {
					if err := json.NewEncoder(raw).Encode(map[string]any{"what": j.name, "workers": j.workers, "who": c.name(), "round": round, "perSecond": rate, "cpuMicros": cpu}); err != nil {
						return err
					}
				}
			}
		}
		a, b := median(results[0]), median(results[1])
		x, y := median(cpus[0]), median(cpus[1])
		fmt.Printf("| %s | %d | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f |\n", j.name, j.workers, a, b, a/b, x, y, x/y)
	}
	return compare(ctx, contenders, documents)
}

// compare reads the same from all contenders.
func compare(ctx context.Context, list []contender, n int) error {
	for i := 0; i < n; i += max(1, n/50) {
		for _, c := range list {
			p, err := c.get(ctx, i)
			if err != nil {
				return err
			}
			if p.ID != id(i) || p.City == "" || p.Bio == "" {
				return fmt.Errorf("%s: get(%d) = %+v", c.name(), i, p)
			}
		}
	}
	for i := range cities {
		for _, c := range list {
			page, err := c.page(ctx, i)
			if err != nil {
				return err
			}
			sorted := slices.IsSortedFunc(page, func(a, b *Person) int { return a.Created.Compare(b.Created) })
			if len(page) != 20 || !sorted || page[0].City != fmt.Sprintf("city %03d", i) {
				return fmt.Errorf("%s: page(%d) has %d documents, sorted: %v", c.name(), i, len(page), sorted)
			}
		}
	}
	return nil
}

// measure returns how many operations a second the workers of a job do.
func measure(ctx context.Context, c contender, j job, n int, span time.Duration) (float64, error) {
	var (
		work sync.WaitGroup
		done atomic.Int64
		mu   sync.Mutex
		errs []error
	)
	began := time.Now()
	for w := range j.workers {
		work.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), uint64(began.UnixNano())))
			for time.Since(began) < span {
				if err := j.do(ctx, c, r, w, j.workers, n); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
				done.Add(1)
			}
		})
	}
	work.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
