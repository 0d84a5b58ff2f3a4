package etcdstore_test

import (
	"context"
	"log"

	kixx "github.com/kixxgen/kixxgen/runtime"
	_ "github.com/kixxgen/kixxgen/runtime/store/etcdstore" // etcd: and etcds:
)

// The same repositories run over an etcd cluster once the package is imported: only the URL is another one.
func Example() {
	ctx := context.Background()
	db, err := kixx.Open(ctx, "etcds://app:secret@etcd1:2379,etcd2:2379,etcd3:2379/shop?ca=/etc/shop/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	// items, err := inventory.NewItemRepo(ctx, db)
}
