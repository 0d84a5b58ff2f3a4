// Command engines runs the shop of package app wherever there are servers: nothing is different but what it imports, and
// the URL.
//
//	cd examples/shop/engines
//	go run . -db 'postgres://app@db.example.org/shop?sslmode=verify-full&watch=on'
//	go run . -db etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379/shop
//	go run . -db tikv://10.0.0.1:2379/shop
//
// It is a module of its own, since the drivers of engines are heavy.
package main

import (
	"github.com/kixxgen/kixxgen/examples/shop/app"

	_ "github.com/kixxgen/kixxgen/runtime/store/etcdstore"
	_ "github.com/kixxgen/kixxgen/runtime/store/pgstore"
	_ "github.com/kixxgen/kixxgen/runtime/store/tikvstore"
)

func main() { app.Main() }
