// Package repotest has the tests of repositories that do not depend on the store: what holds on one must hold on all of
// them, those in modules of their own too. A test of the runtime over a store calls [Run]. The entities are those of
// package kinds.
//
// The tests are short by default, do the work of a full run with the environment variable KIXX_CI, and more with KIXX_LONG.
package repotest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
)

// A Place is where a test keeps its documents: a store that is empty at first.
type Place struct {
	Durable  bool // documents are found again when it is opened anew
	Coherent bool // nobody else writes to it, and the outcome of a commit is always known
	Slow     int  // the long tests do so many times less; 0 is 1

	Open    func(t testing.TB) store.Store // the same data with every call
	Patient func(t testing.TB) store.Store // the same, with snapshots that can be read for long; nil: Open is like that
}

// patient returns Patient, or Open.
func (p Place) patient() func(t testing.TB) store.Store {
	if p.Patient != nil {
		return p.Patient
	}
	return p.Open
}

// limits returns what the store can do.
func (p Place) limits(t testing.TB) store.Limits {
	t.Helper()
	s := p.Open(t)
	limits := s.Limits()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return limits
}

var tests = []struct {
	name string
	test func(t *testing.T, p Place)
}{
	{"SetGivesRevisionsFromZeroUp", testSetGivesRevisionsFromZeroUp},
	{"SetRefusesAnotherRevision", testSetRefusesAnotherRevision},
	{"InsertOverwriteUpsertDelete", testInsertOverwriteUpsertDelete},
	{"ADocumentMadeAnewIsAnotherOne", testADocumentMadeAnewIsAnotherOne},
	{"UpdateKeepsDocumentWhenCallbackFails", testUpdateKeepsDocumentWhenCallbackFails},
	{"DocumentsAreTheCallersOwn", testDocumentsAreTheCallersOwn},
	{"ClockSetsCreatedAndUpdated", testClockSetsCreatedAndUpdated},
	{"InvalidDocumentsAreRefusedWithEveryField", testInvalidDocumentsAreRefusedWithEveryField},
	{"UniqueValuesHaveOneHolder", testUniqueValuesHaveOneHolder},
	{"SetManyIsAllOrNone", testSetManyIsAllOrNone},
	{"HooksRunInTheirOrder", testHooksRunInTheirOrder},
	{"ClosedDatabase", testClosedDatabase},
	{"ADocumentThatContainsItselfIsRefused", testADocumentThatContainsItselfIsRefused},
	{"QueriesFindInOrder", testQueriesFindInOrder},
	{"ViewsFindWhatWasEmitted", testViewsFindWhatWasEmitted},
	{"NilMakesNoEntry", testNilMakesNoEntry},
	{"CursorsStayValidWhileOthersWrite", testCursorsStayValidWhileOthersWrite},
	{"ForeignCursorsAreRefused", testForeignCursorsAreRefused},
	{"SignedCursors", testSignedCursors},
	{"AllMayWriteWhatItWalksOver", testAllMayWriteWhatItWalksOver},
	{"RangesOfEveryKeyType", testRangesOfEveryKeyType},
	{"NamespacesAreApart", testNamespacesAreApart},
	{"AnOldBinaryLosesNoFieldAndLeavesNoIndexThatLies", testAnOldBinaryLosesNoFieldAndLeavesNoIndexThatLies},
	{"AChangedViewIsBuiltAnew", testAChangedViewIsBuiltAnew},
	{"NewIndexesAreBuiltBeforeNewRepoReturns", testNewIndexesAreBuiltBeforeNewRepoReturns},
	{"OneNameForTwoTypesIsRefused", testOneNameForTwoTypesIsRefused},
	{"RetypedFieldIsRefused", testRetypedFieldIsRefused},
	{"ADocumentThatChangesDuringABuildIsIndexedAsItIs", testADocumentThatChangesDuringABuildIsIndexedAsItIs},
	{"WritersOnAnyStore", testWritersOnAnyStore},
	{"PagesMatchTheirQueryWhileDocumentsMove", testPagesMatchTheirQueryWhileDocumentsMove},
	{"TxIsAllOrNothing", testTxIsAllOrNothing},
	{"SnapshotIsOneState", testSnapshotIsOneState},
	{"TxLoopMovesWhatItWalks", testTxLoopMovesWhatItWalks},
	{"TxLitmus", testTxLitmus},
	{"TxHooks", testTxHooks},
	{"TxOfSeveralGoroutines", testTxOfSeveralGoroutines},
	{"TxChangesWhatItChanges", testTxChangesWhatItChanges},
	{"TxHasEndedMeanwhile", testTxHasEndedMeanwhile},
	{"TxUniqueIsReadAtOnce", testTxUniqueIsReadAtOnce},
	{"TxUniqueInBothHalves", testTxUniqueInBothHalves},
	{"TxIsBeatenToAUniqueValue", testTxIsBeatenToAUniqueValue},
	{"SetManyKnowsKeysAsTheyAreStored", testSetManyKnowsKeysAsTheyAreStored},
	{"MigrateIsNotForScopes", testMigrateIsNotForScopes},
	{"LoadInATransactionIsOneByOne", testLoadInATransactionIsOneByOne},
	{"TxTransfers", testTxTransfers},
	{"TransactionsAreSerializable", testTransactionsAreSerializable},
	{"SoftDeleteHidesAndKeeps", testSoftDeleteHidesAndKeeps},
	{"SoftRepositoryEqualsAMap", testSoftRepositoryEqualsAMap},
	{"Load", testLoad},
	{"LoadStopsAtWhatIsRefused", testLoadStopsAtWhatIsRefused},
	{"LoadInTransaction", testLoadInTransaction},
	{"Peek", testPeek},
	{"WatchEqualsWhatIsStored", testWatchEqualsWhatIsStored},
}

// Run runs all tests, each at a place of its own, which place makes.
func Run(t *testing.T, place func(t testing.TB) Place) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.test(t, place(t)) })
	}
	t.Run("RepositoryEqualsAMap", func(t *testing.T) { testRepositoryEqualsAMap(t, place) })
}

// less returns how often to do what is done n times where it is fast.
func (p Place) less(n int) int { return max(1, n/max(1, p.Slow)) }

// DB opens a database on p. When the test ends, it is verified and closed.
func (p Place) DB(t testing.TB, opts ...kixx.Option) *kixx.DB {
	t.Helper()
	db, err := kixx.OpenStore(t.Context(), p.Open(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Verify(context.WithoutCancel(t.Context())); err != nil && !errors.Is(err, kixx.ErrClosed) {
			t.Errorf("the test leaves a damaged database:\n%v", err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Items opens a database on p with the repository of items.
func (p Place) Items(t testing.TB, opts ...kixx.Option) *kinds.ItemRepo {
	t.Helper()
	return NewItems(t, p.DB(t, opts...))
}

// NewItems returns the repository of items of db.
func NewItems(t testing.TB, db *kixx.DB) *kinds.ItemRepo {
	t.Helper()
	items, err := kinds.NewItemRepo(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// Item returns a valid item.
func Item(id string) *kinds.Item {
	return &kinds.Item{ID: id, Title: "Title of " + id, SKU: "sku-" + id, Category: "toys", Price: 10, Tags: []string{"new", "sale"}}
}

// emptied returns the repository of items of db, without the items that an earlier test has left.
func emptied(t testing.TB, db *kixx.DB) *kinds.ItemRepo {
	t.Helper()
	items := NewItems(t, db)
	for id, err := range kixx.AllKeys(t.Context(), items.Query()) {
		if err == nil {
			err = items.Delete(t.Context(), id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return items
}

// Put inserts items.
func Put(t testing.TB, items *kinds.ItemRepo, list ...*kinds.Item) {
	t.Helper()
	for _, it := range list {
		if _, err := items.Insert(context.Background(), it); err != nil {
			t.Fatal(fmt.Errorf("insert %s: %w", it.ID, err))
		}
	}
}

// Shelf stores n items: i-th ID "item:%03d", category c0 to c2 in turn, price i.
func Shelf(t testing.TB, items *kinds.ItemRepo, n int) {
	t.Helper()
	for i := range n {
		it := Item(fmt.Sprintf("item:%03d", i))
		it.Category, it.Price = fmt.Sprintf("c%d", i%3), float64(i)
		it.Tags = []string{fmt.Sprintf("t%d", i%2), "all", "all"}
		Put(t, items, it)
	}
}

// IDs returns the IDs of items, for comparing.
func IDs(items []*kinds.Item) string {
	s := ""
	for _, it := range items {
		s += it.ID + " "
	}
	return s
}

// Must returns a function that ends the test if it gets an error, and else returns what it gets beside it.
func Must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Count returns one of three numbers: for go test ./..., for KIXX_CI=1, and for KIXX_LONG=1.
func Count(small, ci, long int) int {
	switch {
	case os.Getenv("KIXX_LONG") != "":
		return long
	case os.Getenv("KIXX_CI") != "":
		return ci
	}
	return small
}

// Stepping returns a clock that goes one second with every look.
func Stepping() func() time.Time {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

// Together runs f n times at once and waits for all.
func Together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// KeepOpen is a store that outlives the databases that are opened on it.
type KeepOpen struct{ store.Store }

// Close does nothing.
func (KeepOpen) Close() error { return nil }
