//go:build unix

// Command servers starts a cluster of etcd for trying things out, prints its URL, and stops it when it is interrupted:
//
//	cd runtime/store/etcdstore/e2e && go run ./servers [-n 3]
//
// Its data is in a temporary directory, which is removed in the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// A program is what etcdtest runs, in the process that is no server itself.
type program func() int

func (p program) Run() int { return p() }

func main() { os.Exit(etcdtest.Run(program(run))) }

func run() int {
	n := flag.Int("n", 3, "how many `servers`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := etcdtest.Start(*n, etcdtest.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		return 1
	}
	defer c.Stop()
	fmt.Println(c.URL("shop"))
	<-ctx.Done()
	return 0
}
