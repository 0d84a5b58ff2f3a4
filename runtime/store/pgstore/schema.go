package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The tables of a store. A key is compared as bytes, which is how PostgreSQL orders bytea. A version is the 64 bits of a
// store.Version, never zero. kixx_info says what kind of store this is: a program that finds another format or another
// isolation than it knows leaves the store alone. Isolation is a property of the whole store, since commits of one level
// are not protected from those of another.
//
// The lock is there because "if not exists" of two sessions at once fails in one of them.
const createTables = `
select pg_advisory_xact_lock(7163384619347201);
create table if not exists kixx_map (
	key     bytea  primary key,
	value   bytea  not null,
	version bigint not null
);
create table if not exists kixx_info (
	name  text primary key,
	value text not null
);
insert into kixx_info values ('format', '1'), ('isolation', 'read committed') on conflict do nothing;
`

const readInfo = `select name, value from kixx_info`

// undefinedTable is the SQLSTATE of a table that is not there.
const undefinedTable = "42P01"

// prepareTables makes the tables if they are not there, and refuses those of another kind. It changes nothing in a
// database that has them, so that the right to make tables is needed once.
func (s *Store) prepareTables(ctx context.Context) error {
	info, err := s.info(ctx)
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == undefinedTable {
		if _, err = s.calls.Exec(ctx, createTables, pgx.QueryExecModeSimpleProtocol); err == nil {
			info, err = s.info(ctx)
		}
	}
	if err != nil {
		return s.explain(ctx, "open", err)
	}
	if info["format"] != "1" || info["isolation"] != own["default_transaction_isolation"] {
		return fmt.Errorf("pgstore: the database holds a store of format %q with isolation %q, which this version does not know", info["format"], info["isolation"])
	}
	return nil
}

func (s *Store) info(ctx context.Context) (map[string]string, error) {
	rows, err := s.calls.Query(ctx, readInfo)
	if err != nil {
		return nil, err
	}
	info := make(map[string]string)
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error { info[name] = value; return nil })
	return info, err
}
