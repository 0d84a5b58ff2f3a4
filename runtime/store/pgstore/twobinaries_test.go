package pgstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds/v1"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// things is how many documents two binaries write.
const things = 60

// oldBinary is yesterday's program, which knows nothing of colors: it writes until it is told to end.
func oldBinary(ctx context.Context, url string, end <-chan struct{}) (writes int, err error) {
	db, err := kixx.Open(ctx, url)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	repo, err := v1.NewThingRepo(ctx, db)
	if err != nil {
		return 0, err
	}
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	for ; ; writes++ {
		select {
		case <-end:
			return writes, nil
		default:
		}
		id := fmt.Sprintf("%03d", r.IntN(things))
		if r.IntN(8) == 0 {
			err = repo.Delete(ctx, id)
			if errors.Is(err, kixx.ErrNotFound) {
				err = nil
			}
		} else {
			_, err = repo.Upsert(ctx, id, func(th *v1.Thing) error {
				th.Name, th.Size, th.Code = fmt.Sprint("n", r.IntN(5)), r.IntN(90), &th.ID
				return nil
			})
		}
		if err != nil {
			return writes, err
		}
	}
}

// oldMain is the process of an old binary. It says how much it has written.
func oldMain() int {
	end := make(chan struct{})
	go func() {
		defer close(end)
		io.Copy(io.Discard, os.Stdin)
	}()
	fmt.Println("ready")
	writes, err := oldBinary(context.Background(), os.Getenv(childURLEnv), end)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(writes)
	return 0
}

// Two binaries, of which one has an index that the other does not know, run at once. A query of the index is right, or it
// says that the index is not ready; when the old one has gone, it is built again.
func TestTwoBinariesThatDifferByAnIndex(t *testing.T) {
	url := pgtest.New(t)
	span := time.Duration(repotest.Count(1, 3, 120)) * time.Second
	rounds := repotest.Count(2, 3, 4)
	var right, building, opened, writes atomic.Int64
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"=old", childURLEnv+"="+url)
		in := repotest.Must[io.WriteCloser](t)(cmd.StdinPipe())
		out := bufio.NewReader(repotest.Must[io.ReadCloser](t)(cmd.StdoutPipe()))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := out.ReadString('\n'); line != "ready\n" {
			t.Fatalf("the old binary said %q, %v", line, err)
		}
		for began := time.Now(); time.Since(began) < span; {
			opened.Add(1)
			newBinary(t, url, &right, &building)
		}
		in.Close()
		said, err := io.ReadAll(out)
		if err := errors.Join(err, cmd.Wait()); err != nil {
			t.Fatalf("the old binary: %v, %s", err, said)
		}
		var n int64
		if _, err := fmt.Sscan(string(said), &n); err != nil {
			t.Fatalf("the old binary said %q", said)
		}
		writes.Add(n)
		// Alone, it has its index again.
		db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, url))
		repo := repotest.Must[*v2.ThingRepo](t)(v2.NewThingRepo(bg, db))
		if err := checkColors(bg, db, repo); err != nil {
			t.Error(err)
		}
		if err := errors.Join(db.Verify(bg), db.Close()); err != nil {
			t.Error(err)
		}
	}
	if right.Load() == 0 || building.Load() == 0 || writes.Load() == 0 {
		t.Errorf("%d queries were answered, %d were refused, the old binary has written %d times; want some of each", right.Load(), building.Load(), writes.Load())
	}
	t.Logf("the new binary was opened %d times; %d queries were right, %d said that the index is not ready; %d writes of the old one", opened.Load(), right.Load(), building.Load(), writes.Load())
}

// newBinary is today's program, for a moment: it writes, and asks for colors.
func newBinary(t *testing.T, url string, right, building *atomic.Int64) {
	t.Helper()
	db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, url, kixx.WithBuild(kixx.Background)))
	defer db.Close()
	repo := repotest.Must[*v2.ThingRepo](t)(v2.NewThingRepo(bg, db))
	r := rand.New(rand.NewPCG(rand.Uint64(), 2))
	for range 40 {
		if r.IntN(3) == 0 {
			_, err := repo.Upsert(bg, fmt.Sprintf("%03d", r.IntN(things)), func(th *v2.Thing) error {
				th.Name, th.Color = "n", fmt.Sprint("color", r.IntN(3))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		switch err := checkColors(bg, db, repo); {
		case errors.Is(err, kixx.ErrBuilding):
			building.Add(1)
		case err != nil:
			t.Fatal(err)
		default:
			right.Add(1)
		}
	}
}

// checkColors compares queries of the index with a scan of the same snapshot.
func checkColors(ctx context.Context, db *kixx.DB, repo *v2.ThingRepo) error {
	return db.Snapshot(ctx, func(ctx context.Context, s *kixx.Snapshot) error {
		repo := repo.With(s)
		want := make(map[string][]string)
		for th, err := range repo.All(ctx) {
			if err != nil {
				return err
			}
			want[th.Color] = append(want[th.Color], th.ID)
		}
		for _, color := range []string{"", "color0", "color1", "color2"} {
			list, err := repo.QueryByColor(color).Collect(ctx)
			if err != nil {
				return err
			}
			var got []string
			for _, th := range list {
				got = append(got, th.ID)
			}
			if !slices.Equal(got, want[color]) {
				return fmt.Errorf("the index has %q of color %q, a scan of the same snapshot %q", got, color, want[color])
			}
		}
		return nil
	})
}
