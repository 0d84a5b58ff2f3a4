// Command shop runs the shop of package app on a store in files, which needs no server:
//
//	go run ./examples/shop
//
// The command in the directory engines is the same shop on PostgreSQL, etcd and TiKV.
package main

import "github.com/kixxgen/kixxgen/examples/shop/app"

func main() { app.Main() }
