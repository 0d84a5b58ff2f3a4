package store

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a store is opened with. The zero Options are good.
type Options struct {
	Logger *slog.Logger     // nil: slog.Default()
	Now    func() time.Time // nil: time.Now

	// Durability says when a commit is acknowledged, where the store lets one choose. A "sync" parameter of the URL
	// wins over it.
	Durability Durability
}

// A Durability says when a commit is acknowledged. The zero value is Sync.
type Durability struct {
	Mode     DurabilityMode
	Interval time.Duration // of Periodic
}

// A DurabilityMode is the kind of a [Durability].
type DurabilityMode uint8

// The modes, from the safest to the fastest. In all of them a crash of the process alone loses nothing that was
// acknowledged, and what a power cut leaves is a prefix of the commits.
const (
	Sync     DurabilityMode = iota // acknowledged when it is on the disk
	Periodic                       // acknowledged when it is handed to the operating system, which is told to write it every Interval
	NoSync                         // acknowledged when it is handed to the operating system
)

// An OpenFunc opens the store that a URL names. The URL is passed on as the application wrote it.
type OpenFunc func(ctx context.Context, url string, o Options) (Store, error)

var (
	schemesMu sync.RWMutex
	schemes   = make(map[string]OpenFunc)
)

// Register makes a store known under a URL scheme, as database/sql does with drivers: the init function of a store's
// package calls it, so that importing the package is all an application does. It panics if the scheme is taken.
func Register(scheme string, open OpenFunc) {
	schemesMu.Lock()
	defer schemesMu.Unlock()
	if _, taken := schemes[scheme]; taken {
		panic("store: two packages register the URL scheme " + scheme)
	}
	schemes[scheme] = open
}

// Schemes returns the URL schemes that are known, sorted.
func Schemes() []string {
	schemesMu.RLock()
	defer schemesMu.RUnlock()
	return slices.Sorted(maps.Keys(schemes))
}

// Open opens the store that url names by its scheme. The error of an unknown scheme lists the known ones.
func Open(ctx context.Context, url string, o Options) (Store, error) {
	scheme, _, ok := strings.Cut(url, ":")
	schemesMu.RLock()
	open := schemes[scheme]
	schemesMu.RUnlock()
	if !ok || open == nil {
		return nil, fmt.Errorf("no store for the URL scheme %q; known are %s:, others are known once their package is imported", scheme, strings.Join(Schemes(), ": "))
	}
	return open(ctx, url, o)
}
