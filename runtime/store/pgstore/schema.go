package pgstore

import (
	"cmp"
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
const (
	createMap = `
create table if not exists kixx_map (
	key     bytea  primary key,
	value   bytea  not null,
	version bigint not null
)`
	createInfo = `
create table if not exists kixx_info (
	name  text primary key,
	value text not null
)`
)

// lockTablesSQL is there because "if not exists" of two sessions at once fails in one of them.
const lockTablesSQL = `select pg_advisory_xact_lock(7163384619347201)`

// The first who comes says what the database is.
const insertInfo = `insert into kixx_info values ('format', '1'), ('isolation', $1), ('watch', 'off') on conflict do nothing`

const readInfo = `select name, value from kixx_info`

// undefinedTable is the SQLSTATE of a table that is not there.
const undefinedTable = "42P01"

// Values of kixx_info and of parameters of a URL.
const (
	readCommitted = "read committed"
	serializable  = "serializable"
	on            = "on"
	off           = "off"
)

// made is what a database was made for, as kixx_info says.
type made struct {
	isolation string
	watch     string
	json      string
	history   string // names the store, for the notifications of its commits; only with watch
}

// prepareTables makes the tables if they are not there, and refuses those of another kind than is asked for. It changes
// nothing in a database that has them and is as it should be, so that the right to make tables is needed once.
func (s *Store) prepareTables(ctx context.Context, a asked) (m made, err error) {
	if err := s.dialect.check(a); err != nil {
		return made{}, err
	}
	info, err := s.info(ctx)
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == undefinedTable || err == nil && len(info) == 0 && s.dialect != postgres {
		if err = s.createTables(ctx, cmp.Or(a.isolation, s.dialect.isolation())); err == nil {
			info, err = s.info(ctx)
		}
	}
	if err == nil && info["watch"] == off && a.watch == on {
		if err = s.createLog(ctx); err == nil {
			info, err = s.info(ctx)
		}
	}
	if err == nil && info["json"] != on && a.json == on {
		if err = s.createJSON(ctx); err == nil {
			info, err = s.info(ctx)
		}
	}
	if err != nil {
		return made{}, s.explain(ctx, "open", err)
	}
	m = made{isolation: info["isolation"], watch: info["watch"], json: cmp.Or(info["json"], off), history: info["history"]}
	switch {
	case info["format"] != "1", m.isolation != readCommitted && m.isolation != serializable, m.watch != on && m.watch != off, m.json != on && m.json != off:
		return made{}, fmt.Errorf("pgstore: the database holds a store of format %q with isolation %q, watch %q and json %q, which this version does not know", info["format"], m.isolation, m.watch, m.json)
	case s.dialect == cockroach && m.isolation != serializable:
		return made{}, fmt.Errorf("pgstore: the database was made with isolation %q, and is on CockroachDB, where it would be another; copy the data to a new database", m.isolation)
	case a.isolation != "" && a.isolation != m.isolation:
		return made{}, fmt.Errorf("pgstore: the URL asks for isolation=%s, and the database was made with %q; commits of one level are not protected from those of another, so copy the data to a new database, or leave the parameter out", a.isolation, m.isolation)
	case a.watch == off && m.watch == on:
		return made{}, errors.New("pgstore: the URL asks for watch=off, and the database keeps a log of changes, on which others may rely; leave the parameter out")
	case a.json == off && m.json == on:
		return made{}, errors.New("pgstore: the URL asks for json=off, and the database keeps documents as JSON, on which others may rely; leave the parameter out")
	}
	return m, nil
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
