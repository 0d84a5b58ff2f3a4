package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// byHand is SQL as it is written by hand, or by sqlc, over the same driver.
type byHand struct {
	url  string
	pool *pgxpool.Pool

	mu   sync.Mutex
	revs map[int]int64 // what the process knows of revisions
}

const (
	columns   = `id, rev, email, city, created, name, bio`
	createSQL = `
create table person (
	id text collate "C" primary key,
	rev bigint not null,
	email text collate "C" not null,
	city text collate "C" not null,
	created timestamptz not null,
	name text not null,
	bio text not null
);
create unique index person_email on person (email);
create index person_city_created on person (city, created, id);`
	getSQL        = `select ` + columns + ` from person where id = $1`
	getByEmailSQL = `select ` + columns + ` from person where email = $1`
	pageSQL       = `select ` + columns + ` from person where city = $1 order by city, created, id limit 20`
	setSQL        = `update person set rev = rev + 1, email = $3, city = $4, created = $5, name = $6, bio = $7 where id = $1 and rev = $2`
)

func (b *byHand) open(ctx context.Context) error {
	config, err := pgxpool.ParseConfig(b.url)
	if err != nil {
		return err
	}
	config.MaxConns = 16 // eight for each processor of two
	b.revs = make(map[int]int64)
	b.pool, err = pgxpool.NewWithConfig(ctx, config)
	return err
}

func (b *byHand) name() string { return "SQL" }

func (b *byHand) load(ctx context.Context, n int) error {
	if _, err := b.pool.Exec(ctx, createSQL, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	_, err := b.pool.CopyFrom(ctx, pgx.Identifier{"person"}, []string{"id", "rev", "email", "city", "created", "name", "bio"},
		pgx.CopyFromSlice(n, func(i int) ([]any, error) {
			p := person(i, 0)
			return []any{p.ID, int64(0), p.Email, p.City, p.Created, p.Name, p.Bio}, nil
		}))
	if err != nil {
		return err
	}
	_, err = b.pool.Exec(ctx, "vacuum analyze")
	return err
}

// scan reads a row. The revision is kept where the process keeps it.
func scan(row pgx.Row, rev *int64) (*Person, error) {
	p := new(Person)
	err := row.Scan(&p.ID, rev, &p.Email, &p.City, &p.Created, &p.Name, &p.Bio)
	return p, err
}

func (b *byHand) get(ctx context.Context, i int) (*Person, error) {
	var rev int64
	return scan(b.pool.QueryRow(ctx, getSQL, id(i)), &rev)
}

func (b *byHand) getByEmail(ctx context.Context, i int) (*Person, error) {
	var rev int64
	return scan(b.pool.QueryRow(ctx, getByEmailSQL, email(i, 0)), &rev)
}

func (b *byHand) page(ctx context.Context, c int) ([]*Person, error) {
	rows, err := b.pool.Query(ctx, pageSQL, city(c, 0))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Person, error) {
		var rev int64
		return scan(row, &rev)
	})
}

func (b *byHand) set(ctx context.Context, i, round int) error {
	b.mu.Lock()
	rev, known := b.revs[i]
	b.mu.Unlock()
	if !known {
		if _, err := scan(b.pool.QueryRow(ctx, getSQL, id(i)), &rev); err != nil {
			return err
		}
	}
	p := person(i, round)
	tag, err := b.pool.Exec(ctx, setSQL, p.ID, rev, p.Email, p.City, p.Created, p.Name, p.Bio)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("document %d is not at revision %d", i, rev)
	}
	b.mu.Lock()
	b.revs[i] = rev + 1
	b.mu.Unlock()
	return nil
}

func (b *byHand) fresh(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.revs)
	return nil
}

func (b *byHand) close() error { b.pool.Close(); return nil }
