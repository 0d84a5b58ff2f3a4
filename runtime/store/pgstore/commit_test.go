package pgstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore"
	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

// A commit does not wait for another one that has the same fence and is not done yet.
func TestFencesDoNotWaitForEachOther(t *testing.T) {
	direct := pgtest.New(t)
	s := open(t, direct+"&lock_timeout=1000") // milliseconds, after which waiting is an error
	fence := mustCommit(t, s, put("fence", "", store.Guard{}))
	mustCommit(t, s, put("other", "", store.Guard{}))

	// Another commit, which waits for a lock after it has its fence.
	release := lockRow(t, direct, "other")
	first := make(chan error)
	go func() {
		b := batchOf(put("other", "1", store.Guard{}))
		b.Fences = []store.Check{{Key: []byte("fence"), Version: fence}}
		_, err := open(t, direct).Commit(bg, b)
		first <- err
	}()
	waitForLock(t, direct)
	b := batchOf(put("mine", "1", store.Guard{}))
	b.Fences = []store.Check{{Key: []byte("fence"), Version: fence}}
	if _, err := s.Commit(bg, b); err != nil {
		t.Errorf("a commit with the fence of one that is not done = %v", err)
	}
	// The key of the fence itself cannot be changed meanwhile.
	if _, err := s.Commit(bg, batchOf(put("fence", "2", store.Guard{}))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("changing a fence that a commit under way depends on = %v, want that it waits", err)
	}
	release()
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// Commits over the same keys in any mixture, with checks and fences, never wait for each other in a circle.
func TestCommitsDoNotDeadlock(t *testing.T) {
	direct := pgtest.New(t)
	s := open(t, direct)
	keys := make([]string, 12)
	versions := make([]atomic.Uint64, len(keys)) // as far as is known
	for i := range keys {
		keys[i] = fmt.Sprintf("k%02d", i)
		versions[i].Store(uint64(mustCommit(t, s, put(keys[i], "", store.Guard{}))))
	}
	before := deadlocks(t, direct)
	n := repotest.Count(60, 600, 6000)
	var committed, conflicts atomic.Int64
	repotest.Together(8, func(w int) {
		r := rand.New(rand.NewPCG(3, uint64(w)))
		for range n {
			b := batchOf()
			for i, key := range keys {
				c := store.Check{Key: []byte(key), Version: store.Version(versions[i].Load())}
				switch k := r.IntN(32); {
				case k < 8 && i%2 == 0, k == 0: // odd keys keep their versions for a while
					b.Ops = append(b.Ops, put(key, "x", store.Guard{}))
				case k < 12 && i%2 == 1:
					b.Checks = append(b.Checks, c)
				case k < 20 && i%2 == 1:
					b.Fences = append(b.Fences, c)
				case k < 22:
					b.Ops = append(b.Ops, put(fmt.Sprint("new", r.Uint32()), "x", store.At(store.Absent)))
				case k < 24:
					b.Checks = append(b.Checks, store.Check{Key: []byte("none" + key)})
				}
			}
			slices.SortFunc(b.Ops, func(x, y store.Op) int { return bytes.Compare(x.Key, y.Key) })
			slices.SortFunc(b.Checks, func(x, y store.Check) int { return bytes.Compare(x.Key, y.Key) })
			switch v, err := s.Commit(bg, b); {
			case err == nil:
				committed.Add(1)
				for _, op := range b.Ops {
					if i := slices.Index(keys, string(op.Key)); i >= 0 {
						versions[i].Store(uint64(v))
					}
				}
			case errors.Is(err, store.ErrConflict):
				conflicts.Add(1)
			default:
				t.Errorf("Commit = %v", err)
				return
			}
		}
	})
	s.Close() // its connections tell their statistics
	if got := deadlocks(t, direct) - before; got != 0 {
		t.Errorf("%d deadlocks", got)
	}
	t.Logf("%d commits, %d conflicts", committed.Load(), conflicts.Load())
}

func deadlocks(t *testing.T, url string) (n int) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(bg)
	if err := conn.QueryRow(bg, `select deadlocks from pg_stat_database where datname = current_database()`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Where the server ends a commit in favour of another one, it is tried again; not for ever.
func TestACommitThatWasBeatenIsTriedAgain(t *testing.T) {
	direct := pgtest.New(t)
	s := open(t, direct)
	// A trigger fails as the server does, until a sequence has come to an end, which is not rolled back.
	pgtest.Exec(t, direct, `
		create sequence tries;
		create function beat() returns trigger language plpgsql as $$
		begin
			if new.key = 'never' or nextval('tries') <= 3 then
				raise exception using errcode = case when new.key = 'never' then '40001' else '40P01' end;
			end if;
			return new;
		end $$;
		create trigger beat before insert on kixx_map for each row execute function beat();`)
	v, err := s.Commit(bg, batchOf(put("k", "1", store.At(store.Absent))))
	if err != nil {
		t.Errorf("a commit that was beaten three times = %v, want that it was tried again", err)
	} else if it := get(t, s, "k"); it.Version != v {
		t.Errorf("the commit returned version %d, and the key is at %d", v, it.Version)
	}
	if _, err := s.Commit(bg, batchOf(put("never", "1", store.Guard{}))); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a commit that is always beaten = %v, want a conflict", err)
	}
}

// No statement reads all of the table, whatever the server believes of it when it makes its plan.
func TestPlansFindRowsByKey(t *testing.T) {
	direct := pgtest.New(t)
	s := open(t, direct+"&json=on")
	config, err := pgstore.ParseURL(direct, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill := func(from, to int) {
		for from < to {
			b := batchOf()
			for ; from < to && len(b.Ops) < 2000; from++ {
				b.Ops = append(b.Ops, put(fmt.Sprintf("k%06d", from), "value", store.Guard{}))
			}
			if _, err := s.Commit(bg, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	plans := 0
	statements := maps.Clone(pgstore.Statements)
	maps.Copy(statements, pgstore.StatementsOfJSON)
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"empty", func() {}},
		{"empty and analyzed", func() { pgtest.Exec(t, direct, "vacuum analyze kixx_map") }},
		{"small and analyzed", func() { fill(0, 10); pgtest.Exec(t, direct, "vacuum analyze kixx_map") }},
		{"grown since", func() { fill(10, 20_000) }},
		{"large and analyzed", func() { pgtest.Exec(t, direct, "vacuum analyze kixx_map") }},
	} {
		c.do()
		for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
			conn, err := pgx.ConnectConfig(bg, config.ConnConfig)
			if err != nil {
				t.Fatal(err)
			}
			for sql, args := range statements {
				for _, text := range []string{"set plan_cache_mode = " + mode, "deallocate all", "prepare s as " + sql} {
					if _, err := conn.Exec(bg, text, pgx.QueryExecModeSimpleProtocol); err != nil {
						t.Fatalf("%v\n%s", err, text)
					}
				}
				rows, err := conn.Query(bg, "explain execute s ("+args+")", pgx.QueryExecModeSimpleProtocol)
				if err != nil {
					t.Fatal(err)
				}
				lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
				if err != nil {
					t.Fatal(err)
				}
				plans++
				plan := strings.Join(lines, "\n")
				if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "kixx_map") && !strings.Contains(plan, "kixx_map_pkey") && !strings.Contains(plan, "Insert on") {
					t.Errorf("%s, %s:%s\n%s", c.name, mode, sql, plan)
				}
			}
			conn.Close(bg)
		}
	}
	t.Logf("%d plans", plans)
}

// Snapshots that commit, and wait for what others commit, do not run out of connections.
func TestSnapshotsMayCommitAndWaitForOthers(t *testing.T) {
	s := open(t, pgtest.New(t)+"&pool_max_conns=2")
	done := make(chan struct{})
	go func() {
		defer close(done)
		repotest.Together(12, func(w int) {
			key := fmt.Sprint("k", w)
			err := s.Snapshot(bg, func(r store.SnapshotReader) error {
				mine := make(chan error)
				go func() { _, err := s.Commit(bg, batchOf(put(key, "1", store.Guard{}))); mine <- err }()
				if err := <-mine; err != nil {
					return err
				}
				if _, err := s.Commit(bg, batchOf(put(key+"/2", "1", store.Guard{}))); err != nil {
					return err
				}
				if it := get(t, r, key); it.Version != store.Absent {
					return fmt.Errorf("the snapshot sees %s, which was committed after it was taken", key)
				}
				if it := get(t, s, key); it.Version == store.Absent {
					return fmt.Errorf("the store does not see %s", key)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}()
	<-done
}

func TestForeignStoresAreRefused(t *testing.T) {
	for _, change := range []string{
		"update kixx_info set value = '2' where name = 'format'",
		"update kixx_info set value = 'chaos' where name = 'isolation'",
		"delete from kixx_info",
	} {
		direct := pgtest.New(t)
		open(t, direct).Close()
		pgtest.Exec(t, direct, change)
		if _, err := pgstore.Open(bg, direct, store.Options{}); err == nil || !strings.Contains(err.Error(), "does not know") {
			t.Errorf("after %q Open = %v, want that it is refused", change, err)
		}
	}
}

// The right to make tables is needed once; a role that may only use them is enough for everything else.
func TestARoleThatMayOnlyUseTheTables(t *testing.T) {
	direct := pgtest.New(t)
	mustCommit(t, open(t, direct), put("k", "1", store.Guard{}))
	schema := pgx.Identifier{searchPath(t, direct)}.Sanitize()
	role := "user_of_" + searchPath(t, direct)
	name := pgx.Identifier{role}.Sanitize()
	pgtest.Exec(t, direct, "create role "+name+" login; grant usage on schema "+schema+" to "+name+"; grant select on kixx_info to "+name+"; grant select, insert, update, delete on kixx_map to "+name)
	t.Cleanup(func() { pgtest.Exec(t, direct, "drop owned by "+name+"; drop role "+name) })
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	p, through := newProxy(t, u.String())
	s := open(t, through)
	v := get(t, s, "k").Version
	var lost error
	for range 100 { // the server may answer before it is cut off
		p.arm(during)
		if v, lost = s.Commit(bg, batchOf(put("k", "2", store.At(v)))); lost != nil {
			break
		}
	}
	if !errors.Is(lost, store.ErrUnknown) {
		t.Fatalf("Commit = %v, want ErrUnknown", lost)
	}
	if _, err := s.Commit(bg, batchOf(put("l", "2", store.Guard{}))); err != nil {
		t.Errorf("Commit after a lost connection = %v", err)
	}
}

// Names that are hostile to SQL are names like all others.
func TestHostileNames(t *testing.T) {
	direct := pgtest.New(t)
	pgtest.Exec(t, direct, "create table canary (n integer); insert into canary values (1)")
	db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, direct))
	defer db.Close()
	pieces := []string{"'", "\"", ";", "--", "/*", "*/", "\\", "$1", "$$", "%", "_", "drop table canary", " or 1=1", "\x00", "\n", "é", "kixx_map", ")", "("}
	r := rand.New(rand.NewPCG(4, 4))
	n := repotest.Count(20, 150, 5000)
	for i := range n {
		name := fmt.Sprint(i)
		for range 1 + r.IntN(6) {
			name += pieces[r.IntN(len(pieces))]
		}
		space := repotest.Must[*kixx.DB](t)(db.Namespace(bg, name))
		items := repotest.NewItems(t, space)
		it := repotest.Item(name)
		it.Category = name
		repotest.Put(t, items, it)
		if got := repotest.Must[[]*kinds.Item](t)(items.QueryByCategory(name).Collect(bg)); len(got) != 1 || got[0].ID != name {
			t.Fatalf("%q: %d documents", name, len(got))
		}
		if err := items.Delete(bg, name); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, direct, "update canary set n = 1 / (select count(*) from canary)")
	t.Logf("%d names", n)
}

func TestErrorsOfTheServer(t *testing.T) {
	for code, want := range map[string]error{
		"40001": pgstore.ErrBeaten,
		"40P01": pgstore.ErrBeaten,
		"53100": store.ErrFull,
		"53300": store.ErrUnavailable,
		"57P03": store.ErrUnavailable,
		"25006": store.ErrUnavailable,
		"25P03": store.ErrSnapshotTooOld,
		"XX001": store.ErrCorrupt,
	} {
		err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, Message: "m"})
		if got := pgstore.Explain(err); !errors.Is(got, want) || !errors.Is(got, err) {
			t.Errorf("SQLSTATE %s = %v, want %v and the server's own words", code, got, want)
		}
	}
	text := &pgconn.PgError{Code: "22P02", Message: `ungültige Eingabesyntax für Typ integer: »kixx: another commit was first at key 6b00ff«`}
	var ce *store.ConflictError
	if err := pgstore.Explain(text); !errors.As(err, &ce) || string(ce.Key) != "k\x00\xff" {
		t.Errorf("a conflict in another language = %v", err)
	}
	if err := pgstore.Explain(&pgconn.PgError{Code: "22P02", Message: `invalid input syntax`}); errors.Is(err, store.ErrConflict) {
		t.Errorf("another error of the same code = %v", err)
	}
	if err := pgstore.Explain(errors.New("connection reset")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a connection that ends before anything was sent = %v, want ErrUnavailable", err)
	}
}
