package tikvstore_test

import (
	"context"
	"log"

	kixx "github.com/kixxgen/kixxgen/runtime"
	_ "github.com/kixxgen/kixxgen/runtime/store/tikvstore" // tikv:
)

// The same repositories run over TiKV once the package is imported: only the URL is another one.
func Example() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "tikv://pd1:2379,pd2:2379,pd3:2379/shop?ca=/etc/shop/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	// items, err := inventory.NewItemRepo(ctx, db)
}
