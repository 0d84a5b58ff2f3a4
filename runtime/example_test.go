package kixx_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// A Post has two fields with kixx:"key", its Tenant and its Slug. PostKey and the method Key are generated.
func ExampleRepo_keyOfSeveralFields() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "mem:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	posts, err := kinds.NewPostRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for _, slug := range []string{"help", "hello", "about"} {
		if _, err := posts.Insert(ctx, &kinds.Post{Tenant: "acme", Slug: slug, Title: "All " + slug}); err != nil {
			log.Fatal(err)
		}
	}
	post, err := posts.Get(ctx, kinds.PostKey{Tenant: "acme", Slug: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(post.Title, post.Key() == kinds.PostKey{Tenant: "acme", Slug: "hello"})

	found, err := posts.RangeByKey("acme").Prefix("he").Collect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, post := range found {
		fmt.Println(post.Slug)
	}
	_, err = posts.Get(ctx, kinds.PostKey{Tenant: "acme", Slug: "contact"})
	fmt.Println(err)
	// Output:
	// All hello true
	// hello
	// help
	// kixx: post "acme"/"contact": there is no such document
}

// Two people edit one account, each beginning with the same copy. What they have changed is merged: SumInt, whose tag has
// merge=sum, gets both changes, and a field that both have set otherwise is reported.
func ExampleMergeWith() {
	ctx := context.Background()
	clock := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	db, err := kixx.Open(ctx, "mem:", kixx.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	accounts, err := kinds.NewAccountRepo(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	base, err := accounts.Insert(ctx, &kinds.Account{ID: "a", Name: "Ann", SumInt: 10, Home: kinds.Home{Street: "High Street", City: "Bath"}})
	if err != nil {
		log.Fatal(err)
	}

	ann, bob := *base, *base
	ann.SumInt, ann.Home.Street = 12, "Low Street"
	bob.SumInt, bob.Home.City = 15, "Wells"
	if _, err := accounts.Merge(ctx, base, &ann); err != nil {
		log.Fatal(err)
	}
	merged, err := accounts.Merge(ctx, base, &bob)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(merged.SumInt, merged.Home.Street, merged.Home.City, merged.Rev)

	bob.Home.Street = "Third Street"
	_, err = accounts.Merge(ctx, base, &bob)
	var conflict *kixx.MergeError
	if errors.As(err, &conflict) {
		fmt.Println(conflict.Fields)
	}
	// Output:
	// 17 Low Street Wells 2
	// [Home.Street]
}
