package pgstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// The log of changes is the table kixx_log. Triggers write it, a row for each statement, so that whoever changes the map
// does, whether he knows of the log or not. A row has the number of the transaction (xid) and one of its own (seq).
//
// Rows become visible when their transactions end, in no order of either number, so who reads from a number on misses
// some. But all transactions below the oldest one that is still running have ended: the log is read in stretches of xid up
// to there. The order in which a key was changed is that of seq, since a transaction takes the number while it has the key
// locked. It is not that of xid: a transaction may begin first and lock the key last. So a stretch is told in the order of
// seq; and if a stretch has a change that is older than one of the same key in an earlier stretch, that one is told again
// after it.
//
// A commit that checks that a key is absent puts it and deletes it again: a pair that nobody else makes, and that is left out.
const createLog = lockTablesSQL + `;
create table if not exists kixx_log (
	seq      bigint      generated always as identity primary key,
	xid      xid8        not null default pg_current_xact_id(),
	at       timestamptz not null default now(),
	keys     bytea[]     not null,
	vals     bytea[]     not null,
	versions bigint[]    not null
);
create index if not exists kixx_log_xid on kixx_log (xid);
create index if not exists kixx_log_at on kixx_log (at);

create or replace function kixx_log_put() returns trigger language plpgsql set search_path from current as $$
begin
	insert into kixx_log (keys, vals, versions)
	select array_agg(key), array_agg(value), array_agg(version) from changed having count(*) > 0;
	return null;
end $$;
create or replace function kixx_log_delete() returns trigger language plpgsql set search_path from current as $$
begin
	insert into kixx_log (keys, vals, versions)
	select array_agg(key), array_agg(null::bytea), array_agg(0) from changed having count(*) > 0;
	return null;
end $$;
drop trigger if exists kixx_log_insert on kixx_map;
drop trigger if exists kixx_log_update on kixx_map;
drop trigger if exists kixx_log_delete on kixx_map;
create trigger kixx_log_insert after insert on kixx_map referencing new table as changed
	for each statement execute function kixx_log_put();
create trigger kixx_log_update after update on kixx_map referencing new table as changed
	for each statement execute function kixx_log_put();
create trigger kixx_log_delete after delete on kixx_map referencing old table as changed
	for each statement execute function kixx_log_delete();

-- A token of one history means nothing in another: another server, one that a standby has become, one restored from a copy.
create or replace function kixx_history() returns text language plpgsql stable set search_path from current as $$
declare
	id text := (select value from kixx_info where name = 'history');
begin
	return id || ' ' || (select system_identifier from pg_control_system()) || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8);
exception when feature_not_supported or insufficient_privilege or undefined_function then
	return id; -- a managed server that keeps these things to itself
end $$;
insert into kixx_info values ('history', gen_random_uuid()), ('floor', '0') on conflict do nothing;
update kixx_info set value = 'on' where name = 'watch';
`

const (
	// positionSQL is where a watch begins that begins now. It goes by what is in the log, which a crash leaves there. The
	// server's own next number does not outlive one: after it, other transactions get the same.
	positionSQL = `
select kixx_history(), (select value from kixx_info where name = 'floor'),
	coalesce((select xid::text from kixx_log where xid < pg_snapshot_xmin(pg_current_snapshot()) order by xid desc limit 1), '0'),
	array(select distinct xid::text from kixx_log where xid >= pg_snapshot_xmin(pg_current_snapshot()))`

	// logSQL reads the log from a transaction on, with what is needed to understand it. There is always a row.
	logSQL = `
select kixx_history(), (select value from kixx_info where name = 'floor'), pg_snapshot_xmin(pg_current_snapshot())::text,
	l.xid::text, l.seq, l.keys, l.vals, l.versions
from (select 1) as one left join lateral (
	select * from kixx_log where xid >= $1::text::xid8 and xid < pg_snapshot_xmin(pg_current_snapshot()) order by xid limit $2
) as l on true`

	// toldSQL reads what was told in earlier stretches, of a stretch of seq.
	toldSQL = `select xid::text, seq, keys, vals, versions from kixx_log where seq > $1 and seq <= $2 and xid < $3::text::xid8`

	// pruneSQL deletes what is old, and remembers up to where.
	pruneSQL = `
with gone as (delete from kixx_log where at < now() - $1 * interval '1 second' returning xid)
update kixx_info set value = greatest(value::bigint, (select max(xid::text::bigint) + 1 from gone))
where name = 'floor' and exists (select from gone)`

	bellSQL = `select pg_notify($1, '')`
)

const (
	// pollEvery is how often the log is read when no bell rings.
	pollEvery = 100 * time.Millisecond
	// bellEvery is how often a process rings at most. A transaction with a notification takes a lock of the whole server
	// when it commits, so commits do not notify themselves.
	bellEvery = 20 * time.Millisecond
	// keepLog is how long the log goes back.
	keepLog = time.Hour
	// pruneEvery is how often each process deletes what is older.
	pruneEvery = time.Minute
	// logRows is how many rows of the log are read at once, if the stretch is not longer.
	logRows = 500
)

// createLog makes the log of changes.
func (s *Store) createLog(ctx context.Context) error {
	_, err := s.calls.Exec(ctx, createLog, pgx.QueryExecModeSimpleProtocol)
	return err
}

// A position is a place in the log.
type position struct {
	history string
	lo      uint64   // all of xid < lo has been seen
	seen    []uint64 // and these, of those from lo on

	// What has been seen of the stretch from lo on, if anything.
	hi   uint64 // up to here it goes; 0: nothing has
	seq  int64  // the last row that was
	key  int    // and how many keys of that row
	last int64  // the greatest seq of earlier stretches
}

// short returns what tokens have of a history.
func short(history string) string {
	sum := sha256.Sum256([]byte(history))
	return hex.EncodeToString(sum[:8])
}

const tokenMark = "pg1"

func (p position) token() store.Token {
	seen := make([]string, len(p.seen))
	for i, xid := range p.seen {
		seen[i] = strconv.FormatUint(xid, 10)
	}
	return store.Token(fmt.Sprintf("%s:%s:%d:%d:%d:%d:%d:%s", tokenMark, p.history, p.lo, p.hi, p.seq, p.key, p.last, strings.Join(seen, ",")))
}

// parseToken returns the position of a token, and whether it is one of a store like this.
func parseToken(t store.Token) (p position, ok bool) {
	parts := strings.Split(string(t), ":")
	if len(parts) != 8 || parts[0] != tokenMark {
		return p, false
	}
	ok = true
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 63)
		ok = ok && err == nil
		return n
	}
	p.history, p.lo, p.hi, p.seq = parts[1], number(parts[2]), number(parts[3]), int64(number(parts[4]))
	p.key, p.last = int(min(number(parts[5]), math.MaxInt32)), int64(number(parts[6]))
	if parts[7] != "" {
		for s := range strings.SplitSeq(parts[7], ",") {
			p.seen = append(p.seen, number(s))
		}
	}
	return p, ok
}

// end moves p behind the stretch that goes up to hi, in which last was the greatest seq.
func (p *position) end(hi uint64, last int64) {
	seen := slices.DeleteFunc(slices.Clone(p.seen), func(xid uint64) bool { return xid < hi })
	*p = position{history: p.history, lo: hi, seen: seen, last: max(p.last, last)}
}

// Watch implements [store.Store]. Without watch=on in the URL of an opening, once, it is not supported. The log goes back
// an hour; older tokens resync, and so do those of another server: one that a standby has become is another.
//
// While the server cannot be reached, the watch waits.
func (s *Store) Watch(ctx context.Context, from store.Token, prefix []byte) iter.Seq2[store.Event, error] {
	prefix = slices.Clone(prefix)
	if !s.limits.Watch {
		err := fmt.Errorf("pgstore: watch: %w: the database keeps no log of changes; open it with watch=on in the URL", store.ErrNotSupported)
		return func(yield func(store.Event, error) bool) { yield(store.Event{}, err) }
	}
	w := &watcher{s: s, prefix: prefix}
	var err error
	resync := false
	if from != "" {
		w.at, resync = parseToken(from)
		resync = !resync
	}
	if from == "" || resync {
		w.at, err = s.now(ctx)
	}
	return func(yield func(store.Event, error) bool) {
		if err != nil {
			yield(store.Event{}, err)
			return
		}
		w.yield = yield
		if !resync || w.tell(store.Event{Kind: store.EventResync, Token: w.at.token()}) {
			w.run(ctx)
		}
	}
}

// now returns the position of this moment.
func (s *Store) now(ctx context.Context) (p position, err error) {
	err = s.read(ctx, "watch", func() error {
		p, err = scanPosition(s.calls.QueryRow(ctx, positionSQL))
		return err
	})
	return p, err
}

// scanPosition reads what positionSQL returns.
func scanPosition(row pgx.Row) (p position, err error) {
	var history, floor, last string
	var seen []string
	if err := row.Scan(&history, &floor, &last, &seen); err != nil {
		return p, err
	}
	number := func(s string) uint64 {
		n, e := strconv.ParseUint(s, 10, 63)
		err = errors.Join(err, e)
		return n
	}
	p.history = short(history)
	p.lo = max(number(floor), number(last)+1)
	for _, xid := range seen {
		p.seen = append(p.seen, number(xid))
	}
	return p, err
}

// A watcher is one watch.
type watcher struct {
	s      *Store
	prefix []byte
	at     position
	yield  func(store.Event, error) bool
	ended  bool // yield has returned false
}

func (w *watcher) tell(e store.Event) bool {
	w.ended = w.ended || !w.yield(e, nil)
	return !w.ended
}

// run reads the log until the watch ends.
func (w *watcher) run(ctx context.Context) {
	bell, leave := w.s.bell.join(w.s)
	defer leave()
	waits := 0 // how often the server could not be reached
	for {
		rung := bell.next()
		more, err := w.read(ctx)
		switch {
		case w.ended:
			return
		case err == nil:
			waits = 0
		case errors.Is(err, store.ErrUnavailable) && ctx.Err() == nil:
			if waits++; waits == 1 {
				w.s.log.Warn("pgstore: a watch waits until the server can be reached", "event", "watch.waits", "err", err)
			}
			if pause(ctx, waits+4) == nil {
				continue
			}
			err = ctx.Err()
			fallthrough
		default:
			w.yield(store.Event{}, err)
			return
		}
		if more {
			continue
		}
		timer := time.NewTimer(pollEvery)
		select {
		case <-rung:
		case <-timer.C:
		case <-w.s.bell.closed():
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// A change is a row of the log.
type change struct {
	xid      uint64
	seq      int64
	keys     [][]byte
	values   [][]byte
	versions []int64
	only     func(key []byte) bool // which keys are meant; nil: all
}

// read reads a stretch of the log and tells of it. more says that there may be another.
func (w *watcher) read(ctx context.Context) (more bool, err error) {
	for limit := logRows; ; limit *= 4 {
		var l logged
		if err := w.s.read(ctx, "watch", func() (err error) {
			l, err = w.s.readLog(ctx, w.at.lo, limit)
			return err
		}); err != nil {
			return false, err
		}
		if short(l.history) != w.at.history || w.at.lo < l.floor || max(w.at.lo, w.at.hi) > l.running {
			if w.at, err = w.s.now(ctx); err == nil {
				w.tell(store.Event{Kind: store.EventResync, Token: w.at.token()})
			}
			return true, err
		}
		hi, full := l.running, len(l.changes) == limit
		if full { // of the last transaction there may be more
			hi = l.changes[limit-1].xid
		}
		if w.at.hi > hi { // it is not all of the stretch that was begun before
			continue
		}
		if w.at.hi > 0 {
			hi = w.at.hi
		}
		list := slices.DeleteFunc(l.changes, func(c change) bool { return c.xid >= hi })
		if len(list) == 0 && full {
			continue
		}
		if len(list) == 0 {
			return false, nil
		}
		again, err := w.again(ctx, list)
		if err == nil {
			w.stretch(list, again)
		}
		return true, err
	}
}

// logged is what was read of the log.
type logged struct {
	history string
	floor   uint64 // nothing below is in the log any more
	running uint64 // the oldest transaction that is
	changes []change
}

func (s *Store) readLog(ctx context.Context, lo uint64, limit int) (l logged, err error) {
	rows, err := s.calls.Query(ctx, logSQL, fmt.Sprint(lo), limit)
	if err != nil {
		return l, err
	}
	var floor, running string
	var xid *string
	var seq *int64
	var c change
	_, err = pgx.ForEachRow(rows, []any{&l.history, &floor, &running, &xid, &seq, &c.keys, &c.values, &c.versions}, func() (err error) {
		if xid != nil {
			c.seq = *seq
			c.xid, err = strconv.ParseUint(*xid, 10, 64)
			l.changes = append(l.changes, c)
		}
		c = change{}
		return err
	})
	if err == nil {
		l.floor, err = strconv.ParseUint(floor, 10, 64)
	}
	if err == nil {
		l.running, err = strconv.ParseUint(running, 10, 64)
	}
	return l, err
}

// again returns the changes that were told in earlier stretches and are of the same keys as older ones in list.
func (w *watcher) again(ctx context.Context, list []change) (told []change, err error) {
	first := make(map[string]int64) // by key, the oldest change in list
	least := int64(math.MaxInt64)
	for _, c := range list {
		if c.seq > w.at.last {
			continue
		}
		least = min(least, c.seq)
		for _, key := range c.keys {
			if seq, ok := first[string(key)]; !ok || c.seq < seq {
				first[string(key)] = c.seq
			}
		}
	}
	if len(first) == 0 {
		return nil, nil
	}
	err = w.s.read(ctx, "watch", func() error {
		told = nil
		rows, err := w.s.calls.Query(ctx, toldSQL, least, w.at.last, fmt.Sprint(w.at.lo))
		if err != nil {
			return err
		}
		var xid string
		var c change
		_, err = pgx.ForEachRow(rows, []any{&xid, &c.seq, &c.keys, &c.values, &c.versions}, func() (err error) {
			c.xid, err = strconv.ParseUint(xid, 10, 64)
			told = append(told, c)
			c = change{}
			return err
		})
		return err
	})
	for i := range told {
		told[i].only = func(key []byte) bool {
			seq, ok := first[string(key)]
			return ok && seq < told[i].seq
		}
	}
	return told, err
}

// stretch tells of the changes of a stretch, and again of others.
func (w *watcher) stretch(list, again []change) {
	hi, last := uint64(0), int64(0)
	for _, c := range list {
		hi, last = max(hi, c.xid+1), max(last, c.seq)
	}
	list = append(list, again...)
	slices.SortFunc(list, func(a, b change) int { return cmp.Compare(a.seq, b.seq) })
	checked := checks(list)
	w.at.hi = hi
	for _, c := range list {
		if c.seq < w.at.seq || slices.Contains(w.at.seen, c.xid) {
			continue
		}
		from := 0
		if c.seq == w.at.seq {
			from = w.at.key
		}
		for i := from; i < len(c.keys); i++ {
			w.at.seq, w.at.key = c.seq, i+1
			if !bytes.HasPrefix(c.keys[i], w.prefix) || c.only != nil && !c.only(c.keys[i]) || checked[touched{c.xid, string(c.keys[i])}] {
				continue
			}
			e := store.Event{Kind: store.EventPut, Key: c.keys[i], Value: c.values[i], Version: store.Version(c.versions[i]), Token: w.at.token()}
			if c.versions[i] == 0 {
				e.Kind, e.Value = store.EventDelete, nil
			}
			if !w.tell(e) {
				return
			}
		}
	}
	w.at.end(hi, last)
}

// touched is a key that a transaction has changed.
type touched struct {
	xid uint64
	key string
}

// checks returns the keys that were put and deleted by one transaction.
func checks(list []change) map[touched]bool {
	var put, both map[touched]bool
	for _, c := range list {
		for i, key := range c.keys {
			switch at := (touched{c.xid, string(key)}); {
			case len(c.values[i]) > 0: // a check puts nothing
			case c.versions[i] != 0:
				if put == nil {
					put = make(map[touched]bool)
				}
				put[at] = true
			case put[at]:
				if both == nil {
					both = make(map[touched]bool)
				}
				both[at] = true
			}
		}
	}
	return both
}
