// Package storetest is the conformance suite of [store.Store]: one subtest for each clause of the contract, each on a
// fresh store, failing with a sentence that explains the clause. The test of a store calls [Run]:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return memstore.New(store.Options{}) }, storetest.Options{})
//	}
//
// What a store declares in its Limits is tested, and of what it does not declare, that it says so. Commits whose outcome
// is unknown, snapshots that end early and watches that are told to resync are met in the way the contract describes,
// so a store may do all of that during the tests.
//
// The suite is short by default. With the environment variable KIXX_CI set it does the work of a full run, with
// KIXX_LONG ten times that. All randomness comes from [Options.Seed].
//
// [Weak] turns any store into the worst one that the contract permits, for tests of what is built on a store.
package storetest

import (
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// Options adapt [Run] to a store. The zero Options are good for a store that is not durable.
type Options struct {
	// Reopen closes s, which open or Reopen returned, and opens the same data again, or does to it what the store must
	// survive. Everything that was acknowledged must be there. nil: the store keeps nothing after Close.
	Reopen func(t *testing.T, s store.Store) store.Store

	// Seed is that of the random tests; 0 is 1. A failure prints it.
	Seed uint64
}

// A clause is one promise of the contract.
type clause struct {
	name string
	test func(h *harness)
}

var clauses = []clause{
	{"GetReturnsAnItemForEachKey", testGet},
	{"KeysAreComparedAsBytes", testKeyOrder},
	{"PageReadsARange", testPage},
	{"PageFollowsEntriesToDocuments", testDeref},
	{"PageAndVersionIsPageWithAVersion", testPageAndVersion},
	{"BytesThatGoInAreTheCallersAgain", testBytesIn},
	{"BytesThatComeOutStayAsTheyAre", testBytesOut},
	{"VersionsAreNeverGivenTwice", testVersions},
	{"ReadsSeeEveryAcknowledgedCommit", testReadsSeeCommits},
	{"SnapshotIsOneState", testSnapshot},
	{"SnapshotReturnsTheErrorOfItsFunction", testSnapshotError},
	{"GuardsDecide", testGuards},
	{"ConflictChangesNothing", testAllOrNothing},
	{"ChecksAndFencesDecide", testChecks},
	{"RangeChecksDecide", testRangeChecks},
	{"BadBatchesAreRefused", testBadBatches},
	{"LimitsAreKept", testLimits},
	{"EndOfContextEndsTheWait", testContext},
	{"HooksSeeEveryCommitInOrder", testHooks},
	{"HooksRunAtTheMomentOfPublishing", testHookMoment},
	{"CachedReplacesReading", testCached},
	{"WatchTellsOfEveryChange", testWatch},
	{"WatchGoesOnFromAToken", testWatchTokens},
	{"WatchResyncsInsteadOfLeavingAGap", testWatchResync},
	{"WatchEndsWithItsContext", testWatchEnds},
	{"SlowWatcherHoldsUpNobody", testSlowWatcher},
	{"CloseEndsEverything", testClose},
	{"CountersLoseNothing", testCounters},
	{"ChecksRefuseWriteSkew", testWriteSkew},
	{"RangeChecksRefusePhantoms", testPhantoms},
	{"CommitsAreAtomicForReaders", testAtomicReads},
	{"FencesAreShared", testFences},
	{"FencesStopWhatCameBefore", testFenceOrder},
	{"CachedPagesAgreeWithTheirEntries", testCachedPages},
	{"WatchersEndWithTheStoresPicture", testWatchPicture},
	{"RandomOperationsMatchAMap", testRandom},
	{"ReopenedStoreHasEverything", testReopen},
}

// Run tests that the stores which open returns keep the contract. open is called for each subtest, sometimes twice, and
// must return an empty store each time, of the same Limits; Run closes it. A store that is closed by its test must bear a second
// Close.
func Run(t *testing.T, open func(t *testing.T) store.Store, o Options) {
	if o.Seed == 0 {
		o.Seed = 1
	}
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) {
			h := &harness{T: t, s: open(t), open: open, options: o}
			h.limits = h.s.Limits()
			defer func() {
				if err := h.s.Close(); err != nil {
					t.Errorf("Close = %v; closing a store that is in order succeeds, also for the second time", err)
				}
			}()
			c.test(h)
		})
	}
}
