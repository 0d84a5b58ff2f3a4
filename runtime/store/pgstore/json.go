package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// With json=on a row has, beside a document, the document as JSON: what kixx makes of it ([store.Deriver]), for SQL to
// read. Nothing of the store reads these columns.
//
// Processes that opened the store before do not write them, and leave those of an older value there. So the version for
// which they were made stands beside them, and kixx_documents has them where it is that of the row. A trigger that sees
// whether they were written would not do: of two values that differ the JSON can be the same.
//
// The index is over what does not change with a document, and neither is its condition: an update that changes nothing of
// an index stays within a page. Names are no longer than an entry of an index may be.
//
// The function is why no document that the contract takes is refused for what jsonb does not take: such a one has null.
const createJSON = lockTablesSQL + `;
alter table kixx_map
	add column if not exists namespace   text,
	add column if not exists entity      text,
	add column if not exists doc         jsonb,
	add column if not exists doc_version bigint;
create index if not exists kixx_map_entity on kixx_map (entity, namespace) where entity is not null;
create or replace function kixx_json(doc text) returns jsonb language plpgsql immutable strict as $$
begin
	return doc::jsonb;
exception when others then
	return null;
end $$;
create or replace view kixx_documents as
	select namespace, entity, case when doc_version = version then doc end as doc, key, version
	from kixx_map where entity is not null;
insert into kixx_info values ('json', 'on') on conflict (name) do update set value = 'on';
`

const (
	putJSONSQL     = `with` + putJSONRestSQL
	putJSONRestSQL = ` put as (
	insert into kixx_map as old (key, value, version, namespace, entity, doc, doc_version)
	select new.key, new.value, new.version, new.namespace, new.entity, kixx_json(new.doc), case when new.entity is not null then new.version end
	from unnest($1::bytea[], $2::bytea[], $3::bigint[], $6::text[], $7::text[], $8::text[]) as new (key, value, version, namespace, entity, doc)
	order by new.key
	on conflict (key) do update set value = excluded.value, version = excluded.version,
		namespace = excluded.namespace, entity = excluded.entity, doc = excluded.doc, doc_version = excluded.doc_version
	where old.key <> all ($4::bytea[])
	returning key
)` + refuseSQL

	// putJSONAndDeleteSQL does both, in one statement.
	putJSONAndDeleteSQL = `
with gone as (delete from kixx_map where key = any ($9::bytea[])),` + putJSONRestSQL

	// lackSQL is a page of the rows whose JSON is not of their version.
	lackSQL = `
select key, value, version from kixx_map
where key >= $1 and doc_version is distinct from version order by key limit $2`

	// fillSQL writes JSON into rows that are still at their versions.
	fillSQL = `
update kixx_map as old set namespace = new.namespace, entity = new.entity, doc = kixx_json(new.doc), doc_version = new.version
from unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[]) as new (key, version, namespace, entity, doc)
where old.key = new.key and old.version = new.version`
)

// A derive says what is kept beside a value, see [store.Deriver].
type derive func(key, value []byte) (namespace, entity string, json []byte, ok bool)

// Derive implements [store.Deriver]. Without json=on, f is never called.
func (s *Store) Derive(f func(key, value []byte) (namespace, entity string, json []byte, ok bool)) {
	d := derive(f)
	s.derive.Store(&d)
}

// createJSON makes the columns of documents as JSON.
func (s *Store) createJSON(ctx context.Context) error {
	_, err := s.calls.Exec(ctx, createJSON, pgx.QueryExecModeSimpleProtocol)
	return err
}

// documents are columns for rows, of which those that are no documents have null.
type documents struct {
	namespaces, entities, docs []*string
	some                       bool
}

// add adds a row.
func (d *documents) add(f *derive, key, value []byte) {
	var namespace, entity, doc *string
	if f != nil && len(value) > 0 {
		if n, e, j, ok := (*f)(key, value); ok {
			n, e = nameInSQL(n), nameInSQL(e)
			namespace, entity, d.some = &n, &e, true
			if j != nil {
				text := string(j)
				doc = &text
			}
		}
	}
	d.namespaces, d.entities, d.docs = append(d.namespaces, namespace), append(d.entities, entity), append(d.docs, doc)
}

// deriver returns what JSON is made with, nil if none is kept.
func (s *Store) deriver() *derive {
	if s.made.json != on {
		return nil
	}
	return s.derive.Load()
}

// maxName is how many bytes of a name there are in a column: two of them are in an entry of an index, of at most 2704.
const maxName = 1000

// nameInSQL returns a name as text can be. A name that cannot is another one there.
func nameInSQL(name string) string {
	name = strings.ReplaceAll(strings.ToValidUTF8(name, "\ufffd"), "\x00", "\ufffd")
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName-len("…")], "") + "…"
	}
	return name
}

// lackRows is how many rows FillJSON reads at once.
const lackRows = 200

// FillJSON writes the JSON of documents that have none, or an old one: those that are as they were before the database had
// json=on, and those that a process wrote that had opened it before. It knows the documents of the entities whose
// repositories are open:
//
//	s, err := pgstore.Open(ctx, url, store.Options{})
//	db, err := kixx.OpenStore(ctx, s)
//	items, err := inventory.NewItemRepo(ctx, db)
//	n, err := s.FillJSON(ctx)
//
// It reads the whole store once, beside reads and writes, and can be called again if it was interrupted. Watches are told of
// the documents again. It returns how many there were.
func (s *Store) FillJSON(ctx context.Context) (n int, err error) {
	f := s.deriver()
	if f == nil {
		return 0, errors.New("pgstore: fill: there is no JSON to be written; open the database with json=on in the URL, and a kixx.DB over the store")
	}
	for lo := []byte{}; ; {
		var d documents
		var rows, keys, values [][]byte
		var versions []int64
		err := s.read(ctx, "fill", func() error {
			rows, keys, values, versions, d = nil, nil, nil, nil, documents{}
			list, err := s.calls.Query(ctx, lackSQL, lo, lackRows)
			if err != nil {
				return err
			}
			var key, value []byte
			var version int64
			_, err = pgx.ForEachRow(list, []any{&key, &value, &version}, func() error {
				rows, values, versions = append(rows, key), append(values, value), append(versions, version)
				return nil
			})
			return err
		})
		if err != nil {
			return n, err
		}
		at := versions[:0]
		for i, key := range rows {
			before := len(d.entities)
			d.add(f, key, values[i])
			if d.entities[before] == nil {
				d.namespaces, d.entities, d.docs = d.namespaces[:before], d.entities[:before], d.docs[:before]
				continue
			}
			keys, at = append(keys, key), append(at, versions[i])
		}
		if len(keys) > 0 {
			written, err := s.fill(ctx, keys, at, &d)
			if n += written; err != nil {
				return n, err
			}
		}
		if len(rows) < lackRows {
			return n, nil
		}
		lo = append(rows[len(rows)-1], 0)
	}
}

// fill writes the JSON of rows, and again if the server ends that in favour of a commit.
func (s *Store) fill(ctx context.Context, keys [][]byte, versions []int64, d *documents) (int, error) {
	for try := 1; ; try++ {
		var tag pgconn.CommandTag
		err := s.read(ctx, "fill", func() (err error) {
			tag, err = s.calls.Exec(ctx, fillSQL, keys, versions, d.namespaces, d.entities, d.docs)
			return err
		})
		if err == nil || !errors.Is(err, errBeaten) || try == beatenTries {
			return int(tag.RowsAffected()), err
		}
		if err := pause(ctx, try); err != nil {
			return 0, fmt.Errorf("pgstore: fill: %w", err)
		}
	}
}
