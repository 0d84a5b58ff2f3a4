package filestore_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// A published is one commit, as a hook was told of it.
type published struct {
	version store.Version
	sets    []set
}

// A chronicle is all commits of a store, in order.
type chronicle struct {
	mu   sync.Mutex
	list []published
}

func (c *chronicle) hook(b *store.Batch, v store.Version) {
	p := published{version: v}
	for _, op := range b.Ops {
		p.sets = append(p.sets, set{key: string(op.Key), value: string(op.Value), del: op.Delete})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, p)
}

// last returns the number of the last commit.
func (c *chronicle) last() store.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return 0
	}
	return c.list[len(c.list)-1].version
}

// at returns the state behind a commit.
func (c *chronicle) at(v store.Version) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := make(map[string]string)
	for _, p := range c.list {
		if p.version > v {
			break
		}
		for _, s := range p.sets {
			if s.del {
				delete(m, s.key)
			} else {
				m[s.key] = s.value
			}
		}
	}
	return m
}

// newest returns the greatest version of all keys: the last commit, since each of them puts something.
func newest(s store.Reader) (v store.Version, err error) {
	items, err := s.Page(bg, store.Page{Limit: 1 << 20, KeysOnly: true})
	for _, it := range items {
		v = max(v, it.Version)
	}
	return v, err
}

// busy commits with n writers until stop is called, which returns when they have ended.
func busy(t *testing.T, s store.Store, n int) (c *chronicle, stop func()) {
	c = &chronicle{}
	cancel := s.OnPublish(c.hook)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for w := range n {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 11))
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				doc := fmt.Sprintf("d/%d/%03d", w, rng.IntN(100))
				sets := []set{{key: fmt.Sprintf("n/%d", w), value: fmt.Sprint(i)}}
				if rng.IntN(4) == 0 {
					sets = append(sets, set{key: doc, del: true})
				} else {
					sets = append(sets, set{key: doc, value: value(rng, doc, rng.IntN(400))}, set{key: "i/" + doc, value: doc})
				}
				if _, err := s.Commit(bg, batch(sets...)); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	return c, func() {
		close(done)
		wg.Wait()
		cancel()
	}
}

// await returns when commit v is published.
func (c *chronicle) await(v store.Version) {
	for c.last() < v {
		runtime.Gosched()
	}
}

// checkCopy opens a copy of the store that c tells of, which must be the state behind one commit, not before least. It is as
// one that was closed.
func checkCopy(t *testing.T, c *chronicle, least store.Version, o filestore.Options) {
	t.Helper()
	out := &quiet{}
	o.Logger = out.logger()
	s := mustOpen(t, o)
	defer s.Close()
	if n := filestore.Delta(s); n > 3*200 {
		t.Errorf("opening the copy replays %d keys", n)
	}
	got, err := dump(s)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newest(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := c.at(v); v < least || !equal(got, want) {
		t.Errorf("the copy has commits up to %d, want %d or more, and is%s\nwant%s", v, least, show(got), show(want))
	}
	put(t, s, "after", "the copy")
	if out.String() != "" {
		t.Errorf("opening the copy logs %s", out)
	}
}

// A backup that is made while others write is the state behind one commit, not before those acknowledged when it began.
func TestBackupOfABusyStoreIsOneState(t *testing.T) {
	for _, mode := range []store.DurabilityMode{store.Sync, store.Periodic, store.NoSync} {
		t.Run([]string{"Sync", "Periodic", "NoSync"}[mode], func(t *testing.T) {
			dir := memoryDir(t)
			o := filestore.Options{SegmentSize: 16 << 10, FlushKeys: 50}
			o.Durability.Mode = mode
			o.Logger = (&quiet{}).logger()
			s, err := filestore.Open(bg, filepath.Join(dir, "db"), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c, stop := busy(t, s, 4)
			type made struct {
				name  string
				least store.Version
			}
			var list []made
			for i := range size(10, 30, 300) {
				c.await(store.Version(100 * (i + 1)))
				m := made{filepath.Join(dir, fmt.Sprint("copy", i)), c.last()}
				if err := s.Backup(bg, m.name); err != nil {
					t.Fatal(err)
				}
				list = append(list, m)
			}
			stop()
			for _, m := range list {
				o := filestore.Options{SegmentSize: 16 << 10}
				o.FS = osFS(t, m.name)
				checkCopy(t, c, m.least, o)
			}
			if got, err := dump(s); err != nil || !equal(got, c.at(c.last())) {
				t.Errorf("the store itself: %v%s", err, show(got))
			}
		})
	}
}

func osFS(t *testing.T, dir string) filestore.FS {
	t.Helper()
	f, err := filestore.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// populated returns a store with runs and several segments, and what is in it.
func populated(t *testing.T, mode store.DurabilityMode, commits int) (s *filestore.Store, sim *simfs.FS, want map[string]string) {
	t.Helper()
	sim = simfs.New()
	o, _ := simOptions(sim, mode)
	o.FlushKeys, o.SegmentSize = 30, 1<<10
	s = mustOpen(t, o)
	rng := rand.New(rand.NewPCG(1, 12))
	h := &history{states: []map[string]string{{}}}
	for i := range commits {
		doc := fmt.Sprintf("d/%02d", rng.IntN(40))
		sets := []set{{key: "n", value: fmt.Sprint(i)}, {key: doc, value: value(rng, doc, rng.IntN(300))}, {key: "i/" + doc, value: doc}}
		h.next(sets)
		if _, err := s.Commit(bg, batch(sets...)); err != nil {
			t.Fatal(err)
		}
		filestore.Settle(s)
	}
	if filestore.Runs(s) < 1 || filestore.Segments(s) < 3 {
		t.Fatalf("%d runs and %d segments, want some", filestore.Runs(s), filestore.Segments(s))
	}
	return s, sim, h.now()
}

// A crash at any operation of a backup leaves something that is refused, or nothing, or all of it.
func TestCrashOfABackup(t *testing.T) {
	s, _, want := populated(t, store.Sync, 60)
	to := simfs.New()
	refused, whole, empty := 0, 0, 0
	crash := func(at string) {
		for _, loss := range append(simfs.Losses, simfs.KeepAll) {
			for seed := range uint64(size(2, 10, 100)) {
				disk := to.Crash(loss, rand.New(rand.NewPCG(seed, uint64(to.Ops()))))
				if len(disk.Names()) == 0 {
					empty++
					continue
				}
				got, err := openDamaged(disk)
				switch {
				case err != nil && !errors.Is(err, store.ErrCorrupt):
					t.Fatalf("%s, %v: %v", at, loss, err)
				case err != nil && slices.Contains(disk.Names(), "MANIFEST"):
					t.Fatalf("%s, %v: there is a manifest, and %v", at, loss, err)
				case err != nil:
					refused++
				case !equal(got, want):
					t.Fatalf("%s, %v: files %q open as%s\nwant%s", at, loss, disk.Names(), show(got), show(want))
				default:
					whole++
				}
			}
		}
	}
	to.Before(func(op simfs.Op) { crash("crash before " + op.String()) })
	if err := filestore.BackupInto(bg, s, to); err != nil {
		t.Fatal(err)
	}
	to.Before(nil)
	refusedBefore, emptyBefore := refused, empty
	crash("crash when it has returned")
	if refused != refusedBefore || empty != emptyBefore {
		t.Error("a crash when the backup has returned takes it")
	}
	if refused < 20 || whole < 8 {
		t.Errorf("%d refused, %d whole, %d empty", refused, whole, empty)
	}
	if got, err := dump(s); err != nil || !equal(got, want) {
		t.Errorf("the store afterwards: %v%s", err, show(got))
	}
	t.Logf("%d operations, %d crashes refused, %d whole, %d empty", to.Ops(), refused, whole, empty)
}

// An error at any operation of a backup ends it, leaves nothing in the directory, and does no harm to the store.
func TestErrorAtEveryOperationOfABackup(t *testing.T) {
	s, source, want := populated(t, store.Sync, 60)
	for _, k := range []struct {
		fault simfs.Fault
		want  error
	}{
		{simfs.Fault{Err: syscall.EIO}, syscall.EIO},
		{simfs.Fault{Err: syscall.ENOSPC, Short: 60}, store.ErrFull},
	} {
		for n := 1; ; n++ {
			to := simfs.New()
			hit := false
			to.Inject(func(op simfs.Op) *simfs.Fault {
				if op.N == n {
					hit = true
					return &k.fault
				}
				return nil
			})
			err := filestore.BackupInto(bg, s, to)
			if !hit {
				if err != nil || n < 20 {
					t.Errorf("without an error: %v after %d operations", err, n)
				}
				break
			}
			// Names are removed before they are made, to be sure: that one may fail, and is tried again.
			if !errors.Is(err, k.want) && n > 1 {
				t.Errorf("error at operation %d: %v, want %v", n, err, k.want)
			}
			if names := to.Names(); len(names) != 0 {
				t.Errorf("error at operation %d: %q are left", n, names)
			}
		}
	}
	copied := 0
	for _, name := range source.Names() {
		if strings.HasPrefix(name, "seg-") || strings.HasPrefix(name, "run-") {
			copied++
		}
	}
	for n := range copied {
		at := source.Ops() + n + 1
		source.FailAt(at, syscall.EIO)
		to := simfs.New()
		err := filestore.BackupInto(bg, s, to)
		source.Inject(nil)
		if !errors.Is(err, syscall.EIO) || len(to.Names()) != 0 {
			t.Errorf("error at operation %d of the store: %v, %q are left", n, err, to.Names())
		}
	}
	put(t, s, "more", "x")
	want["more"] = "x"
	if got, err := dump(s); err != nil || !equal(got, want) {
		t.Errorf("the store afterwards: %v%s", err, show(got))
	}
}

// The log ends at the cut, also where the file goes on; and the store has that on its own disk before its copy has it.
func TestBackupEndsAtTheCut(t *testing.T) {
	s, source, want := populated(t, store.NoSync, 60)
	to := simfs.New()
	end := filestore.LogEnd(s)
	if err := filestore.BackupInto(bg, s, to); err != nil {
		t.Fatal(err)
	}
	names := to.Names()
	segments := slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "seg-") })
	last := segments[len(segments)-2] // behind it is the one of the new history
	if n := len(to.ReadFile(last)); int64(n) != end || n == len(source.ReadFile(last)) {
		t.Errorf("%s has %d bytes, want the %d up to the last commit, of %d", last, n, end, len(source.ReadFile(last)))
	}
	if got, err := openDamaged(source.Crash(simfs.LoseAll, nil)); err != nil || !equal(got, want) {
		t.Errorf("after a power cut the store is behind its backup: %v%s\nwant%s", err, show(got), show(want))
	}
}

// A backup is another history: a token of the store makes a watch of it begin with a resync, and then nothing is missing.
func TestBackupIsAnotherHistory(t *testing.T) {
	s, _, _ := populated(t, store.Sync, 40)
	var tokens []store.Token
	for range 3 {
		put(t, s, "n", "x")
		tokens = append(tokens, tokenOf(t, s))
	}
	to := simfs.New()
	if err := filestore.BackupInto(bg, s, to); err != nil {
		t.Fatal(err)
	}
	put(t, s, "n", "later")
	tokens = append(tokens, tokenOf(t, s))
	o, _ := simOptions(to, store.Sync)
	checkResync(t, mustOpen(t, o), tokens)
}

func tokenOf(t testing.TB, s store.Store) (token store.Token) {
	t.Helper()
	if err := s.Snapshot(bg, func(r store.SnapshotReader) error {
		token = r.Token()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return token
}

// checkResync watches s from tokens of another history.
func checkResync(t *testing.T, s store.Store, tokens []store.Token) {
	t.Helper()
	for i, token := range tokens {
		var seen []string
		for e, err := range s.Watch(bg, token, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if len(seen) == 0 {
				if e.Kind != store.EventResync {
					t.Fatalf("token %d: the first event is %+v, want a resync", i, e)
				}
				put(t, s, "w", fmt.Sprint(i))
				put(t, s, "x", fmt.Sprint(i))
			}
			if seen = append(seen, string(e.Key)+string(e.Value)); len(seen) == 3 {
				break
			}
		}
		if want := fmt.Sprintf("[ w%d x%d]", i, i); fmt.Sprint(seen) != want {
			t.Errorf("token %d: events %v, want %s", i, seen, want)
		}
		// What the copy says itself is of its history.
		own := tokenOf(t, s)
		put(t, s, "y", "1")
		for e, err := range s.Watch(bg, own, nil) {
			if err != nil || string(e.Key) != "y" {
				t.Fatalf("its own token: %+v, %v", e, err)
			}
			break
		}
	}
}

// A directory with something in it is refused and not touched; so are a closed store and a context that has ended.
func TestBackupRefuses(t *testing.T) {
	dir := memoryDir(t)
	o := filestore.Options{}
	o.Logger = (&quiet{}).logger()
	s, err := filestore.Open(bg, filepath.Join(dir, "db"), o)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "b")
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(full, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(bg, full); err == nil || !strings.Contains(err.Error(), `"mine"`) {
		t.Errorf("to a directory with a file: %v", err)
	}
	if err := s.Backup(bg, filepath.Join(dir, "db")); err == nil {
		t.Error("to its own directory: no error")
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	gone := filepath.Join(dir, "gone")
	if err := s.Backup(ctx, gone); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	for _, i := range []int{0, 1, 3} { // the context ends later
		ctx, cancel := context.WithCancel(bg)
		to := simfs.New()
		to.Before(func(op simfs.Op) {
			if op.N == 2+i {
				cancel()
			}
		})
		if err := filestore.BackupInto(ctx, s, to); !errors.Is(err, context.Canceled) || len(to.Names()) != 0 {
			t.Errorf("with a context that ends: %v, %q are left", err, to.Names())
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(bg, gone); !errors.Is(err, store.ErrClosed) {
		t.Errorf("of a closed store: %v", err)
	}
	if err := s.BackupTo(bg, io.Discard); !errors.Is(err, store.ErrClosed) {
		t.Errorf("of a closed store: %v", err)
	}
	if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
	if names, err := os.ReadDir(full); err != nil || len(names) != 1 {
		t.Errorf("in the refused directory there are %v, %v", names, err)
	}
}

// The archive has the files of the directory, with the manifest as the last one; and one state makes one archive, but for what
// is random in the new history.
func TestArchiveHasTheFilesOfABackup(t *testing.T) {
	s, _, _ := populated(t, store.Sync, 60)
	dir := simfs.New()
	if err := filestore.BackupInto(bg, s, dir); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := s.BackupTo(bg, &out); err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(&out)
	var names []string
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		same := bytes.Equal(b, dir.ReadFile(h.Name))
		if fresh := len(b) == 64 || h.Name == "MANIFEST"; !fresh && !same || len(b) != len(dir.ReadFile(h.Name)) {
			t.Errorf("%s has other bytes than in the directory", h.Name)
		}
		if h.Mode != 0o600 || h.Typeflag != tar.TypeReg || h.ModTime.Unix() != 0 {
			t.Errorf("%s: header %+v", h.Name, h)
		}
	}
	if last := names[len(names)-1]; last != "MANIFEST" {
		t.Errorf("the last file is %s", last)
	}
	slices.Sort(names)
	if !slices.Equal(names, dir.Names()) {
		t.Errorf("files %q, want %q", names, dir.Names())
	}
}
