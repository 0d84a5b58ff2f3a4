package store

import "context"

// What a store may offer beside the contract. The runtime asks for it by a type assertion, and does without where it is
// not there.

// A StatsReporter is a [Store] that counts what it does and holds. kixx shows it as DB.Stats.
type StatsReporter interface {
	// Stats returns the counts of this moment. It does no I/O and waits for none, may be called at any time, also after
	// Close, and costs about as much as a read of one key.
	Stats() Stats
}

// A PageVersioner is a [Store] that can read a page and the version of one more key in one round trip. kixx reads the pages
// of indexes with it, since it has to know that the index was still in order.
type PageVersioner interface {
	// PageAndVersion is Page, and returns the version that key has: at the moment of the page, or at a later one. It
	// is [Absent] if the key is not there.
	PageAndVersion(ctx context.Context, p Page, key []byte) (items []Item, version Version, err error)
}

// A Deriver is a [Store] that keeps, beside the value of a document, what other programs can read of it. The store alone
// knows no documents: kixx tells it what to keep.
type Deriver interface {
	// Derive is called once, before the first commit. f returns the namespace and the entity of the document that a commit
	// puts at key, and the document as JSON, nil if it cannot be written so; ok is false for what is no document, or one of
	// an entity that nobody has registered. f does no I/O, may be called by several goroutines at once, and keeps neither
	// argument. The JSON is for reading: numbers, texts, bytes and times are as PostgreSQL reads them.
	Derive(f func(key, value []byte) (namespace, entity string, json []byte, ok bool))
}

// A HealthReporter is a [Store] that can say whether it works without being tried. Of other stores kixx reads a key.
type HealthReporter interface {
	// Health returns nil if reads and writes work, as far as is known. Else the error says what does not: [ErrClosed],
	// [ErrFailed], [ErrFull] while the last write met a full disk, or the background work that has failed more than once
	// in a row. It writes nothing.
	Health(ctx context.Context) error
}

// Stats says what a store holds, and what it has done since it was opened. A store fills in what it has; the rest is zero.
type Stats struct {
	MemoryKeys int   // keys that are in memory, those that hide deleted ones included
	LogBytes   int64 // bytes of log that an opening after a crash would have to read
	Runs       int   // files of sorted keys
	RunBytes   int64 // their size

	Segments     int   // files of the log
	SegmentBytes int64 // their size, without what is reserved ahead
	DeadBytes    int64 // of SegmentBytes, what no key refers to any more: what a compaction would give back

	BlockCache BlockCacheStats

	Flushes     uint64 // of keys in memory to a run
	Merges      uint64 // of runs
	Compactions uint64 // of segments
	Syncs       uint64 // of the log that have returned without an error

	// Durable is the place in the log up to which a power cut takes nothing, for people to read: "seg-00000003.log:81920".
	Durable string

	// LastError is the text of the last error of a write, a sync or of work in the background, "" if there was none. It may
	// be over: [HealthReporter] says what is wrong now.
	LastError string
}

// BlockCacheStats are about the blocks of runs that are kept in memory.
type BlockCacheStats struct {
	Bytes  int64  // in memory now
	Budget int64  // the most that is kept
	Hits   uint64 // blocks that were in memory when they were needed
	Misses uint64 // blocks that were read from a file
}
