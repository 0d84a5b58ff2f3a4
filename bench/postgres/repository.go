package main

import (
	"context"

	kixx "github.com/kixxgen/kixxgen/runtime"

	_ "github.com/kixxgen/kixxgen/runtime/store/pgstore"
)

// repository is this project.
type repository struct {
	url    string
	db     *kixx.DB
	people *PersonRepo
}

func (r *repository) open(ctx context.Context) (err error) {
	if r.db, err = kixx.Open(ctx, r.url); err != nil {
		return err
	}
	r.people, err = NewPersonRepo(ctx, r.db)
	return err
}

func (r *repository) name() string { return "kixxgen" }

func (r *repository) load(ctx context.Context, n int) error {
	_, err := r.people.Load(ctx, func(yield func(*Person) bool) {
		for i := range n {
			if !yield(person(i, 0)) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range n { // the process has read them all
		if _, err := r.get(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (r *repository) get(ctx context.Context, i int) (*Person, error) {
	return r.people.Get(ctx, id(i))
}

func (r *repository) getByEmail(ctx context.Context, i int) (*Person, error) {
	p, err := r.people.GetByEmail(ctx, email(i, 0))
	return p, err
}

func (r *repository) page(ctx context.Context, c int) ([]*Person, error) {
	page, err := r.people.RangeByCityCreated(city(c, 0)).Everything().Limit(20).Page(ctx)
	if err != nil {
		return nil, err
	}
	return page.Items, nil
}

func (r *repository) set(ctx context.Context, i, round int) error {
	_, err := r.people.Update(ctx, id(i), func(p *Person) error {
		p.Email, p.City, p.Created = email(i, round), city(i, round), created(i, round)
		return nil
	})
	return err
}

func (r *repository) fresh(ctx context.Context) error {
	if err := r.db.Close(); err != nil {
		return err
	}
	return r.open(ctx)
}

func (r *repository) close() error { return r.db.Close() }
