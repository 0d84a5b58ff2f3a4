package pgstore_test

import (
	"context"
	"log"

	kixx "github.com/kixxgen/kixxgen/runtime"
	_ "github.com/kixxgen/kixxgen/runtime/store/pgstore" // postgres: and postgresql:
)

// The same repositories run over PostgreSQL once the package is imported: only the URL is another one.
func Example() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "postgres://app:secret@db.example.org/shop?sslmode=verify-full&pool_max_conns=16")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	// items, err := inventory.NewItemRepo(ctx, db)
}
