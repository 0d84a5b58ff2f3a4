// Package kixx is the runtime of kixxgen: typed repositories of documents, with revisions, indexes, views and cursors,
// over a store that keeps them in files, in memory, or in an engine that exists.
//
// An application declares its documents as annotated structs, runs kixxgen, and calls the repositories that come out:
//
//	db, err := kixx.Open(ctx, "file:./data")
//	items, err := inventory.NewItemRepo(ctx, db)
//	it, err := items.Set(ctx, &inventory.Item{ID: "item:123", Title: "Lamp"})
//	it, err = items.Update(ctx, it.ID, func(it *inventory.Item) error { it.Price = 39.99; return nil })
//	page, err := items.QueryByCategory("electronics").Limit(20).Page(ctx)
//
// Start reading at [Open], [Repo] and [Query]. The errors are in errors.go. The annotations are described by the command:
// go doc github.com/kixxgen/kixxgen/cmd/kixxgen.
//
// Documents are values: what is passed in is neither kept nor changed, what comes back is the caller's own.
//
// [Schema], [Index], [View], [Entries] and the functions that take them are for generated code.
package kixx
