package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// watching streams what a watch tells, as "put key=value", "delete key" and "resync".
type watching struct {
	t      *testing.T
	events chan store.Event
	end    context.CancelFunc
	err    chan error
}

func watch(t *testing.T, s store.Store, from store.Token, prefix string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(bg)
	w := &watching{t: t, events: make(chan store.Event), end: cancel, err: make(chan error, 1)}
	feed := s.Watch(ctx, from, []byte(prefix))
	go func() {
		for e, err := range feed {
			if err != nil {
				w.err <- err
				return
			}
			select {
			case w.events <- e:
			case <-ctx.Done():
				w.err <- ctx.Err()
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-w.err })
	return w
}

func tell(e store.Event) string {
	switch e.Kind {
	case store.EventPut:
		return fmt.Sprintf("put %s=%s", e.Key, e.Value)
	case store.EventDelete:
		return fmt.Sprintf("delete %s", e.Key)
	}
	return "resync"
}

// next returns the next event.
func (w *watching) next() store.Event {
	w.t.Helper()
	select {
	case e := <-w.events:
		return e
	case err := <-w.err:
		w.err <- err
		w.t.Fatalf("the watch has ended: %v", err)
	case <-time.After(30 * time.Second):
		w.t.Fatal("nothing is told")
	}
	panic("unreachable")
}

// want fails unless the next events are these.
func (w *watching) want(events ...string) (last store.Event) {
	w.t.Helper()
	for i, want := range events {
		last = w.next()
		if got := tell(last); got != want {
			w.t.Fatalf("event %d is %q, want %q", i, got, want)
		}
	}
	return last
}

// A transaction is one of the test's own, on a connection of its own.
type transaction struct {
	t    *testing.T
	conn *pgx.Conn
}

func begin(t *testing.T, url string) *transaction {
	t.Helper()
	tx := &transaction{t, connect(t, plain(url))}
	t.Cleanup(func() { tx.conn.Close(bg) })
	tx.exec("begin")
	return tx
}

func (tx *transaction) exec(sql string, args ...any) {
	tx.t.Helper()
	if _, err := tx.conn.Exec(bg, sql, args...); err != nil {
		tx.t.Fatalf("%s: %v", sql, err)
	}
}

func (tx *transaction) put(key, value string) {
	tx.t.Helper()
	tx.exec("insert into kixx_map values ($1, $2, 7) on conflict (key) do update set value = excluded.value", []byte(key), []byte(value))
}

func (tx *transaction) commit() { tx.t.Helper(); tx.exec("commit") }

// plain returns a URL without the parameters that are the store's.
func plain(url string) string {
	return strings.NewReplacer("&watch=on", "", "&isolation=serializable", "").Replace(url)
}

// A transaction may begin before another and change a key after it; and a third one, between them, may still be running when a
// watcher looks, so that it is told of the later change first. Then it is told of that again, in the end.
func TestTheNewestStateOfAKeyIsToldLast(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	w := watch(t, open(t, url), "", "k")
	late, between, early := begin(t, url), begin(t, url), begin(t, url)
	late.put("a", "")
	between.put("b", "")
	early.put("k", "older")
	early.commit()
	late.put("k", "newer")
	late.commit()
	at := w.want("put k=newer")
	between.commit()
	w.want("put k=older", "put k=newer")

	// A watch that goes on from the token of the first is told the same.
	watch(t, open(t, url), at.Token, "k").want("put k=older", "put k=newer")
}

// Transactions that end late, in any order, are not forgotten.
func TestNoTransactionIsForgotten(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	w := watch(t, open(t, url), "", "")
	var all []*transaction
	for i := range 8 {
		tx := begin(t, url)
		tx.put(fmt.Sprint("k", i), "1")
		all = append(all, tx)
	}
	told := make(map[string]bool)
	for _, i := range []int{3, 1, 7, 0, 2, 6, 5, 4} {
		all[i].commit()
	}
	for range all {
		e := w.next()
		told[string(e.Key)] = true
	}
	if len(told) != len(all) {
		t.Errorf("told of %d keys, want %d", len(told), len(all))
	}
}

// However much there is, it is told once, in order, and a token goes on in the middle of anything.
func TestALongLogIsTold(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	s := open(t, url)
	begun := watch(t, s, "", "k").want // from here on
	var from store.Token
	if err := s.Snapshot(bg, func(r store.SnapshotReader) error { from = r.Token(); return nil }); err != nil {
		t.Fatal(err)
	}
	var want []string
	// One transaction with more rows than are read at once, and many with one.
	tx := begin(t, url)
	for i := range 650 {
		tx.put(fmt.Sprintf("k%04d", i), "long")
		want = append(want, fmt.Sprintf("put k%04d=long", i))
	}
	tx.commit()
	for i := range 300 {
		mustCommit(t, s, put(fmt.Sprintf("k%04d", i), "short", store.Guard{}))
		want = append(want, fmt.Sprintf("put k%04d=short", i))
	}
	begun(want...)
	w := watch(t, s, from, "k")
	for i := 0; i < len(want); i += 97 {
		n := min(97, len(want)-i)
		e := w.want(want[i : i+n]...)
		w = watch(t, s, e.Token, "k")
	}
}

// A key that a commit checks to be absent is not touched by it.
func TestChecksAreNoChanges(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	s := open(t, url)
	w := watch(t, s, "", "")
	b := batchOf(put("k", "", store.Guard{}))
	b.Checks = []store.Check{{Key: []byte("absent")}}
	b.Fences = []store.Check{{Key: []byte("fence")}}
	if _, err := s.Commit(bg, b); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, store.Op{Key: []byte("k"), Delete: true})
	mustCommit(t, s, put("end", "", store.Guard{}))
	w.want("put k=", "delete k", "put end=")
}

// A log that is made later has what a process writes that knows nothing of it.
func TestALogIsMadeLater(t *testing.T) {
	url := pgtest.New(t)
	old := open(t, url)
	for e, err := range old.Watch(bg, "", nil) {
		if !errors.Is(err, store.ErrNotSupported) || !strings.Contains(err.Error(), "watch=on") {
			t.Errorf("Watch of a database without a log = %v, %v, want ErrNotSupported, and what to do", e, err)
		}
	}
	s := open(t, url+"&watch=on")
	w := watch(t, s, "", "")
	mustCommit(t, old, put("k", "1", store.Guard{}))
	w.want("put k=1")
	if !open(t, url).Limits().Watch {
		t.Error("opened again without the parameter, the store cannot watch")
	}
	if _, err := pgstore.Open(bg, url+"&watch=off", store.Options{}); err == nil || !strings.Contains(err.Error(), "leave the parameter out") {
		t.Errorf("Open with watch=off of a database with a log = %v, want that it is refused", err)
	}
}

// What a token stands for may be gone: the watch says so, and goes on.
func TestTokensThatAreTooOldResync(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	s := open(t, url)
	old := watch(t, s, "", "")
	mustCommit(t, s, put("k", "1", store.Guard{}))
	token := old.want("put k=1").Token
	mustCommit(t, s, put("k", "2", store.Guard{}))
	kept := old.want("put k=2").Token
	goesOn := func(from store.Token) {
		t.Helper()
		w := watch(t, s, from, "")
		w.want("resync")
		mustCommit(t, s, put("new", string(from), store.Guard{}))
		w.want("put new=" + string(from))
		w.end()
	}
	for _, foreign := range []store.Token{"nonsense", "pg1:", "pg1:0123456789abcdef:1:0:0:0:0:", "pg1:x:99999999999999999999:0:0:0:0:"} {
		goesOn(foreign)
	}
	parts := strings.Split(string(token), ":")
	parts[2] = "9000000000000000000"
	goesOn(store.Token(strings.Join(parts, ":")))

	pgtest.Exec(t, plain(url), "update kixx_log set at = now() - interval '2 hours' where keys[1] = 'k'")
	if err := s.Prune(); err != nil {
		t.Fatal(err)
	}
	goesOn(token)
	goesOn(kept)

	// A history of its own, as of a copy.
	if err := s.Snapshot(bg, func(r store.SnapshotReader) error { token = r.Token(); return nil }); err != nil {
		t.Fatal(err)
	}
	w := watch(t, s, token, "")
	pgtest.Exec(t, plain(url), "update kixx_info set value = 'another' where name = 'history'")
	w.want("resync")
	goesOn(token)
}

// A commit rings in other processes.
func TestCommitsRing(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	here, there := open(t, url), open(t, url)
	watch(t, here, "", "")
	here.Listening(t)
	rung := here.Rung()
	mustCommit(t, there, put("k", "1", store.Guard{}))
	select {
	case <-rung:
	case <-time.After(30 * time.Second):
		t.Error("a commit of another process does not ring")
	}
}

// A watch waits while the server is away, and then tells what has happened.
func TestAWatchOutlivesItsServer(t *testing.T) {
	server, err := pgtest.Start()
	if err != nil {
		pgtest.Skip(t, err)
	}
	defer server.Stop()
	s := open(t, server.URL()+"&watch=on")
	w := watch(t, s, "", "")
	n := repotest.Count(2, 4, 20)
	for i := range n {
		b := batchOf(put("k", fmt.Sprint(i), store.Guard{}))
		_, err := s.Commit(bg, b)
		for errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrUnavailable) {
			_, err = s.Commit(bg, b)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.want(fmt.Sprintf("put k=%d", i))
		if err := errors.Join(server.Crash(), server.Begin()); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if err := <-w.err; !errors.Is(err, store.ErrClosed) {
		t.Errorf("the watch of a closed store ends with %v, want ErrClosed", err)
	}
	w.err <- nil
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "pg1:0123456789abcdef:12:15:7:2:6:13,14", "pg1:h:1:2:3:4:5:", "pg1:h:1:2:3:4:5:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again, ok := pgstore.ReadToken(store.Token(s))
		if !ok {
			return
		}
		if twice, ok := pgstore.ReadToken(again); !ok || twice != again {
			t.Errorf("the token %q is read as %q, and that as %q", s, again, twice)
		}
	})
}

// Many watchers of writers in several processes have the picture that the store has, however they were interrupted.
func TestWatchersHaveTheStoresPicture(t *testing.T) {
	url := pgtest.New(t) + "&watch=on"
	s := open(t, url)
	w := watch(t, s, "", "p/")
	n := repotest.Count(40, 400, 4000)
	repotest.Together(6, func(i int) {
		mine := open(t, url)
		for j := range n {
			op := put(fmt.Sprint("p/", (i+j)%5), fmt.Sprint(i, ".", j), store.Guard{})
			if j%7 == 0 {
				op = store.Op{Key: op.Key, Delete: true}
			}
			if _, err := mine.Commit(bg, batchOf(op)); err != nil {
				t.Error(err)
			}
		}
	})
	mustCommit(t, s, put("p/end", "", store.Guard{}))
	picture := make(map[string]string)
	changes := 0
	for {
		e := w.next()
		if changes++; e.Kind == store.EventPut {
			picture[string(e.Key)] = string(e.Value)
		} else {
			delete(picture, string(e.Key))
		}
		if string(e.Key) == "p/end" {
			break
		}
		if changes%50 == 0 {
			w.end()
			w = watch(t, s, e.Token, "p/")
		}
	}
	items, err := s.Page(bg, store.Page{Lo: []byte("p/"), Hi: []byte("p0"), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var want, have []string
	for _, it := range items {
		want = append(want, fmt.Sprintf("%s=%s", it.Key, it.Value))
	}
	for k, v := range picture {
		have = append(have, k+"="+v)
	}
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("a watcher's picture is %v, the store has %v", have, want)
	}
	t.Logf("%d changes told of %d", changes, 6*n)
}
