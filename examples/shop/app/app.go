package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Main is the program: it serves the shop until it is told to end. Programs differ in which stores they import beside
// the ones in files and in memory.
func Main() {
	url := flag.String("db", "file:./shop-data", "`URL` of the database")
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, *url, *addr); err != nil {
		log.Fatal(err)
	}
}

// Run serves the shop until ctx ends.
func Run(ctx context.Context, url, addr string) (err error) {
	db, err := kixx.Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	shop, err := NewShop(ctx, db)
	if err != nil {
		return err
	}
	if err := shop.Seed(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("the shop is open at http://%s\n", listener.Addr())
	server := &http.Server{Handler: shop.Handler(), ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(shop.Close) // requests are finished; streams of changes would never be
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(last)
}
