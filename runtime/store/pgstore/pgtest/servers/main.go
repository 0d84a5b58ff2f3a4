//go:build unix

// Command servers starts PostgreSQL for trying things out, from the binaries on this machine, prints its URL, and stops it
// when it is interrupted:
//
//	cd runtime/store/pgstore && go run ./pgtest/servers [-standbys 2]
//
// With standbys, a commit is acknowledged when one of them has it too. The data is in temporary directories, which are removed
// in the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kixxgen/kixxgen/runtime/store/pgstore/pgtest"
)

func main() {
	standbys := flag.Int("standbys", 0, "how `many` servers follow the first")
	flag.Parse()
	if err := run(*standbys); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

func run(standbys int) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var servers interface {
		URL() string
		Stop() error
	}
	if standbys == 0 {
		servers, err = pgtest.Start("fsync=on")
	} else {
		servers, err = pgtest.StartCluster(standbys)
	}
	if err != nil {
		return err
	}
	fmt.Println(servers.URL())
	<-ctx.Done()
	return servers.Stop()
}
