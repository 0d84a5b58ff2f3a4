package e2e

import (
	"path/filepath"
	"testing"

	"github.com/kixxgen/kixxgen/internal/datacopy"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/etcdstore/e2e/etcdtest"
)

// A database in files goes to etcd and back, and is the same repository everywhere.
func TestADatabaseIsCopiedHereAndBack(t *testing.T) {
	dir := t.TempDir()
	places := []string{"file:" + filepath.Join(dir, "a"), etcdtest.New(t), "file:" + filepath.Join(dir, "b")}
	db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, places[0]))
	repotest.Shelf(t, repotest.NewItems(t, db), 300)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var sums [2]string
	for i := range sums {
		src := repotest.Must[store.Store](t)(store.Open(bg, places[i], store.Options{}))
		dst := repotest.Must[store.Store](t)(store.Open(bg, places[i+1], store.Options{}))
		report, err := datacopy.Copy(bg, src, dst, datacopy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = report.Checksum
		src.Close()
		dst.Close()
	}
	if sums[0] != sums[1] {
		t.Errorf("the copy has the checksum %s, the copy of the copy %s", sums[0], sums[1])
	}
	for _, place := range places[1:] {
		db := repotest.Must[*kixx.DB](t)(kixx.Open(bg, place))
		items := repotest.NewItems(t, db)
		if n := repotest.Must[int](t)(items.QueryByCategory("c1").Count(bg)); n != 100 {
			t.Errorf("%s has %d items of the category, want 100", place, n)
		}
		if err := db.Verify(bg); err != nil {
			t.Error(err)
		}
		db.Close()
	}
}
