package kixx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds/v2"
	"github.com/kixxgen/kixxgen/runtime/internal/repotest"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/memstore"
)

func newMemos(t testing.TB, db *kixx.DB) *kinds.MemoRepo {
	t.Helper()
	return must[*kinds.MemoRepo](t)(kinds.NewMemoRepo(t.Context(), db))
}

func memo(id string) *kinds.Memo { return &kinds.Memo{ID: id, Title: "Title " + id, Folder: "in"} }

// problems returns what an error of Verify joins, one sentence each.
func problems(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var list []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		list = append(list, e.Error())
	}
	slices.Sort(list)
	return list
}

// A damaged database has two live memos, a and b, and c, which is marked as deleted.
type damaged struct {
	t  *testing.T
	st store.Store
	db *kixx.DB
}

func newDamaged(t *testing.T) *damaged {
	st := memstore.New(store.Options{})
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), st, kixx.WithClock(repotest.Stepping())))
	t.Cleanup(func() { db.Close() })
	memos := newMemos(t, db)
	for _, id := range []string{"a", "b", "c"} {
		m := memo(id)
		m.Tags = []string{"x", "y"}
		must[*kinds.Memo](t)(memos.Insert(t.Context(), m))
	}
	if err := memos.Delete(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	d := &damaged{t, st, db}
	if err := db.Verify(t.Context()); err != nil {
		t.Fatalf("before the damage: %v", err)
	}
	return d
}

// stored returns the n-th key under an index of the memos, or of the documents.
func (d *damaged) stored(index string, n int) store.Item {
	d.t.Helper()
	items := must[[]store.Item](d.t)(kixx.Stored(d.t.Context(), d.db, "memo", index))
	if n >= len(items) {
		d.t.Fatalf("there are %d keys of %q, want the one at %d", len(items), index, n)
	}
	return items[n]
}

func (d *damaged) put(key, value []byte) {
	d.t.Helper()
	d.commit(store.Op{Key: key, Value: value})
}

func (d *damaged) remove(key []byte) {
	d.t.Helper()
	d.commit(store.Op{Key: key, Delete: true})
}

func (d *damaged) commit(op store.Op) {
	d.t.Helper()
	var id [8]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	if _, err := d.st.Commit(d.t.Context(), &store.Batch{ID: id, Ops: []store.Op{op}}); err != nil {
		d.t.Fatal(err)
	}
}

// changed returns b with one byte changed.
func changed(b []byte, at int, to byte) []byte {
	b = slices.Clone(b)
	b[at] = to
	return b
}

// replaced returns b with a text replaced by one of the same length.
func replaced(t *testing.T, b []byte, old, new string) []byte {
	t.Helper()
	if len(old) != len(new) || !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%q has no %q, or %q is of another length", b, old, new)
	}
	return bytes.ReplaceAll(b, []byte(old), []byte(new))
}

const half = kixx.HeaderLen - 1 // the byte of a key with the bit of its half

func TestVerifyFindsEachKindOfDamage(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(d *damaged)
		want   []string
	}{
		{"an entry is missing", func(d *damaged) { d.remove(d.stored("Folder", 0).Key) },
			[]string{`kixx: memo "a": the index Folder has no entry for it`}},
		{"one of several entries is missing", func(d *damaged) { d.remove(d.stored("Tags", 1).Key) },
			[]string{`kixx: memo "b": the index Tags has no entry for it`}},
		{"an entry in the index of keys is missing", func(d *damaged) { d.remove(d.stored("key", 1).Key) },
			[]string{`kixx: memo "b": the index of keys has no entry for it`}},
		{"an entry of what is deleted is missing", func(d *damaged) { d.remove(d.stored("Title", 2).Key) },
			[]string{`kixx: memo "c": the index Title has no entry for it`}},
		{"an entry too many", func(d *damaged) {
			e := d.stored("Folder", 1)
			d.put(replaced(d.t, e.Key, "in\x00", "on\x00"), e.Value)
		}, []string{`kixx: memo "b": the index Folder has an entry for it that the document does not say`}},
		{"an entry says another document", func(d *damaged) { d.put(d.stored("Folder", 1).Key, d.stored("Folder", 0).Value) },
			[]string{`kixx: memo "a": the index Folder has an entry for it that the document does not say`}},
		{"an entry says no document", func(d *damaged) { d.put(d.stored("Folder", 1).Key, []byte("rubbish")) },
			[]string{`kixx: memo: the index Folder has an entry that names no document`}},
		{"an entry of a view has another value", func(d *damaged) { d.put(d.stored("ByWord", 0).Key, []byte{7}) },
			[]string{`kixx: memo "a": its entry in the view ByWord has another value than the document emits`}},
		{"an entry of a view too many", func(d *damaged) {
			e := d.stored("ByWord", 1) // Title, of b
			d.put(replaced(d.t, e.Key, "Title", "Titel"), e.Value)
		}, []string{`kixx: memo "b": the view ByWord has an entry for it that the document does not say`}},
		{"an entry of a view is missing", func(d *damaged) { d.remove(d.stored("ByWord", 3).Key) },
			[]string{`kixx: memo "b": the view ByWord has no entry for it`}},
		{"an entry of a view is of no document", func(d *damaged) {
			e := d.stored("ByWord", 3)
			key := slices.Clone(e.Key)
			key[len(key)-4] = 'z' // z 00 01 and the ordinal
			d.put(key, e.Value)
		}, []string{`kixx: memo: the view ByWord has an entry of a document that is not there`}},
		{"an entry is in the wrong half", func(d *damaged) {
			e := d.stored("Folder", 0)
			d.remove(e.Key)
			d.put(changed(e.Key, half, e.Key[half]|1), e.Value)
		}, []string{`kixx: memo "a": its entry in the index Folder is in the half of what is deleted`}},
		{"an entry is in both halves", func(d *damaged) {
			e := d.stored("Title", 2)
			d.put(changed(e.Key, half, e.Key[half]&^1), e.Value)
		}, []string{`kixx: memo "c": its entry in the index Title is in the half of what is live`}},
		{"an entry of a view is in the wrong half", func(d *damaged) {
			e := d.stored("ByWord", 0)
			d.remove(e.Key)
			d.put(changed(e.Key, half, e.Key[half]|1), e.Value)
		}, []string{`kixx: memo "a": its entry in the view ByWord is in the half of what is deleted`}},
		{"a document is missing", func(d *damaged) { d.remove(d.stored("", 0).Key) }, []string{
			`kixx: memo "a": the index Folder has an entry for it, but there is no such document`,
			`kixx: memo "a": the index Tags has an entry for it, but there is no such document`,
			`kixx: memo "a": the index Tags has an entry for it, but there is no such document`,
			`kixx: memo "a": the index Title has an entry for it, but there is no such document`,
			`kixx: memo "a": the index UpdatedAt has an entry for it, but there is no such document`,
			`kixx: memo "a": the index of keys has an entry for it, but there is no such document`,
			`kixx: memo: the view ByWord has an entry of a document that is not there`,
			`kixx: memo: the view ByWord has an entry of a document that is not there`,
		}},
		{"a document ends early", func(d *damaged) {
			it := d.stored("", 0)
			d.put(it.Key, it.Value[:len(it.Value)-3])
		}, []string{`kixx: memo "a": stored data is damaged: it cannot be read: *`}},
		{"a document has more behind it", func(d *damaged) {
			it := d.stored("", 0)
			d.put(it.Key, append(slices.Clone(it.Value), 0))
		}, []string{`kixx: memo "a": stored data is damaged: it cannot be read: 1 bytes follow the document`}},
		{"a document is of a newer format", func(d *damaged) {
			it := d.stored("", 0)
			d.put(it.Key, changed(it.Value, 0, 9))
		}, []string{`kixx: memo "a": schema does not fit the database: *`}},
		{"a document is under the key of another", func(d *damaged) {
			d.put(d.stored("", 1).Key, d.stored("", 0).Value)
		}, []string{`kixx: memo "b": stored data is damaged: the document says that its key is "a"`}},
		{"a document is marked in its envelope alone", func(d *damaged) {
			it := d.stored("", 0)
			d.put(it.Key, changed(it.Value, 1, it.Value[1]|1))
		}, []string{`kixx: memo "a": stored data is damaged: its envelope and its field do not agree on whether it is deleted`}},
		{"a document is in the half of what is deleted", func(d *damaged) {
			it := d.stored("", 0)
			d.put(changed(it.Key, half, 1), it.Value)
		}, []string{`kixx: memo "a": stored data is damaged: it is in the half of what is deleted, where documents never are`}},
		{"a document is of a schema that is not known", func(d *damaged) {
			it := d.stored("", 0)
			if it.Value[2] != 0 || it.Value[7] != 1 {
				d.t.Fatalf("the envelope is %x, want revision 0 and schema 1", it.Value[:16])
			}
			d.put(it.Key, changed(it.Value, 7, 5))
		}, []string{`kixx: memo "a": stored data is damaged: it was written by schema 5, which the catalogue does not have`}},
		{"a key that cannot be read", func(d *damaged) {
			it := d.stored("", 0)
			d.put(append(slices.Clone(it.Key), 'x'), it.Value)
		}, []string{`kixx: memo "*": stored data is damaged: its key cannot be read`}},
		{"two documents have one unique value", func(d *damaged) {
			it := d.stored("", 1)
			d.put(it.Key, replaced(d.t, it.Value, "Title b", "Title a"))
		}, []string{
			`kixx: memo "b": its value in the unique index Title is held by memo "a"`,
			`kixx: memo "b": the index Title has an entry for it that the document does not say`,
			`kixx: memo "b": the view ByWord has an entry for it that the document does not say`,
			`kixx: memo "b": the view ByWord has no entry for it`,
		}},
		{"a live document and a deleted one have one unique value", func(d *damaged) {
			it, e, w := d.stored("", 2), d.stored("Title", 2), d.stored("ByWord", 5) // c, of c
			d.put(it.Key, replaced(d.t, it.Value, "Title c", "Title a"))
			d.remove(e.Key)
			d.put(replaced(d.t, e.Key, "Title c", "Title a"), e.Value)
			d.remove(w.Key)
			d.put(replaced(d.t, w.Key, "c\x00\x01c", "a\x00\x01c"), w.Value)
		}, []string{`kixx: memo "a": its value in the unique index Title is held by memo "c" as well, which is marked as deleted`}},

		{"keys of a collection that nobody knows", func(d *damaged) {
			it := d.stored("", 0)
			d.put(changed(it.Key, 10, 9), it.Value)
			d.put(changed(it.Key, 10, 10), it.Value)
		}, []string{
			"kixx: there are keys of the collection 10, which the catalogue does not know",
			"kixx: there are keys of the collection 9, which the catalogue does not know",
		}},
		{"entries of an index that nobody knows", func(d *damaged) {
			for _, n := range []int{0, 1} {
				e := d.stored("Folder", n)
				d.put(changed(e.Key, half, 70), e.Value)
			}
		}, []string{"kixx: memo: there are entries of an index with the number 35, which the catalogue does not know"}},
		{"a key that is too short", func(d *damaged) { d.put(d.stored("", 0).Key[:kixx.HeaderLen], nil) },
			[]string{"kixx: the store has a key of 13 bytes, *"}},
		{"the key of a number is missing", func(d *damaged) { d.remove(kixx.NumberKey(d.db, 1)) },
			[]string{"kixx: the catalogue has the number 1 in the record of memo, but not the key that says so"}},
		{"a number of no collection", func(d *damaged) { d.put(kixx.NumberKey(d.db, 2), []byte("ghost")) },
			[]string{"kixx: the catalogue says that ghost took the number 2, but has no record of it"}},
		{"a record is missing", func(d *damaged) { d.remove(kixx.CatalogueKey(d.db, "collection", "memo")) }, []string{
			"kixx: the catalogue has lost the collection memo",
			"kixx: the catalogue says that memo took the number 1, but has no record of it",
			"kixx: there are keys of the collection 1, which the catalogue does not know",
		}},
		{"a record is no JSON", func(d *damaged) { d.put(kixx.CatalogueKey(d.db, "collection", "memo"), []byte("{")) }, []string{
			"kixx: the catalogue has a record of memo that cannot be read: *",
			"kixx: the catalogue says that memo took the number 1, but has no record of it",
			"kixx: there are keys of the collection 1, which the catalogue does not know",
		}},
		{"a record is under another name, with a number that is taken", func(d *damaged) {
			d.put(kixx.CatalogueKey(d.db, "collection", "zzz"), d.record())
		}, []string{
			"kixx: the catalogue has the number 1 for both memo and memo",
			"kixx: the catalogue has the record of memo under the name zzz",
		}},
		{"two indexes have one number", func(d *damaged) {
			d.put(kixx.CatalogueKey(d.db, "collection", "memo"), replaced(d.t, d.record(), `"number":2,"name":"Folder"`, `"number":1,"name":"Folder"`))
		}, []string{
			"kixx: memo: there are entries of an index with the number 2, which the catalogue does not know",
			`kixx: memo "a": the index Folder has no entry for it`,
			`kixx: memo "b": the index Folder has no entry for it`,
			`kixx: memo "c": the index Folder has no entry for it`,
			"kixx: the catalogue has the number 1 of memo for both the index Title and the index Folder",
		}},
		{"a number over the highest", func(d *damaged) {
			d.put(kixx.CatalogueKey(d.db, "collection", "memo"), replaced(d.t, d.record(), `"taken":6`, `"taken":5`))
		}, []string{"kixx: the catalogue has the number 6 for the index key of memo, whose highest is 5"}},
		{"a state that there is not", func(d *damaged) {
			d.put(kixx.CatalogueKey(d.db, "collection", "memo"), bytes.Replace(d.record(), []byte(`"ready"`), []byte(`"radio"`), 1))
		}, []string{`kixx: the catalogue has the index Title of memo in the state "radio", which there is not`}},
		{"the schema is missing", func(d *damaged) {
			r := d.record()
			at := bytes.Index(r, []byte(`"fingerprint":"`)) + len(`"fingerprint":"`)
			d.put(kixx.CatalogueKey(d.db, "collection", "memo"), changed(r, at, 'z'))
		}, []string{"kixx: the catalogue has lost the schema that this program has of memo"}},
		{"a schema has no number", func(d *damaged) {
			d.put(kixx.CatalogueKey(d.db, "collection", "memo"), replaced(d.t, d.record(), `"schemas":[{"number":1`, `"schemas":[{"number":0`))
		}, []string{
			`kixx: memo "a": it was written by schema 1, which the catalogue does not have`,
			`kixx: memo "b": it was written by schema 1, which the catalogue does not have`,
			`kixx: memo "c": it was written by schema 1, which the catalogue does not have`,
			"kixx: the catalogue has lost the schema that this program has of memo",
			"kixx: the catalogue has the number 0 of memo for two schemas, or for none",
		}},
		{"an index that is being built lacks entries, which it may", func(d *damaged) {
			r := d.record()
			at := bytes.Index(r, []byte(`"name":"Folder"`))
			d.put(kixx.CatalogueKey(d.db, "collection", "memo"), append(slices.Clone(r[:at]), bytes.Replace(r[at:], []byte("ready"), []byte("building"), 1)...))
			d.remove(d.stored("Folder", 0).Key)
		}, nil},
		{"an index that is being built has an entry too many", func(d *damaged) {
			r := d.record()
			at := bytes.Index(r, []byte(`"name":"Folder"`))
			d.put(kixx.CatalogueKey(d.db, "collection", "memo"), append(slices.Clone(r[:at]), bytes.Replace(r[at:], []byte("ready"), []byte("building"), 1)...))
			e := d.stored("Folder", 1)
			d.put(replaced(d.t, e.Key, "in\x00", "on\x00"), e.Value)
		}, []string{`kixx: memo "b": the index Folder has an entry for it that the document does not say`}},
		{"the namespace has another name", func(d *damaged) { d.put(kixx.CatalogueKey(d.db, "namespace"), []byte("other")) },
			[]string{`kixx: the catalogue is that of the namespace "other", not of ""`}},
		{"the namespace has no name", func(d *damaged) { d.remove(kixx.CatalogueKey(d.db, "namespace")) },
			[]string{`kixx: the catalogue has lost the name of the namespace ""`}},
		{"keys of the catalogue that cannot be read", func(d *damaged) {
			key := kixx.CatalogueKey(d.db, "a")
			d.put(key[:kixx.HeaderLen], nil)
			d.put(key[:kixx.HeaderLen+1], nil)
			d.put(append(kixx.CatalogueKey(d.db, "collection"), 'x'), nil)
			d.put(append(kixx.CatalogueKey(d.db, "number"), 'x'), nil)
			d.put(kixx.CatalogueKey(d.db, "word of a newer version"), nil)
		}, []string{
			"kixx: the catalogue has a key of 13 bytes: *",
			"kixx: the catalogue has a key that cannot be read: *",
			"kixx: the catalogue has the key of a collection that cannot be read: *",
			"kixx: the catalogue has the key of a number that cannot be read: *",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDamaged(t)
			test.damage(d)
			err := d.db.Verify(t.Context())
			got := problems(t, err)
			slices.Sort(test.want)
			if !slices.EqualFunc(got, test.want, matches) {
				t.Errorf("Verify says\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
			var ve *kixx.VerifyError
			if err != nil && (!errors.As(err, &ve) || !errors.Is(err, kixx.ErrCorrupt) && !errors.Is(err, kixx.ErrSchema)) {
				t.Errorf("%v is no VerifyError, or neither ErrCorrupt nor ErrSchema", err)
			}
		})
	}
}

// matches reports whether got is want, where a * in it stands for any text.
func matches(got, want string) bool {
	before, after, any := strings.Cut(want, "*")
	return got == want || any && strings.HasPrefix(got, before) && strings.HasSuffix(got, after)
}

func (d *damaged) record() []byte {
	d.t.Helper()
	return must[[]store.Item](d.t)(d.st.Get(d.t.Context(), kixx.CatalogueKey(d.db, "collection", "memo")))[0].Value
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	d := newDamaged(t)
	d.remove(d.stored("Folder", 0).Key)
	var ve *kixx.VerifyError
	if err := d.db.Verify(t.Context()); !errors.As(err, &ve) {
		t.Fatalf("Verify = %v, want a VerifyError", err)
	}
	want := kixx.VerifyError{Entity: "memo", Key: "a", Index: "Folder", Problem: "the index Folder has no entry for it", Err: kixx.ErrCorrupt}
	if *ve != want {
		t.Errorf("the error is %#v, want %#v", *ve, want)
	}
}

func TestVerifyStopsWhenItHasFoundEnough(t *testing.T) {
	for _, damage := range []func(d *damaged, i byte){
		func(d *damaged, i byte) { // entries of one index
			e := d.stored("Folder", 0)
			d.put(append(slices.Clone(e.Key[:kixx.HeaderLen]), fmt.Sprintf("%03d\x00\x01a\x00\x01", i)...), e.Value)
		},
		func(d *damaged, i byte) { // collections
			it := d.stored("", 0)
			d.put(changed(it.Key, 10, i+2), it.Value)
		},
	} {
		d := newDamaged(t)
		for i := range byte(250) {
			damage(d, i)
		}
		got := problems(t, d.db.Verify(t.Context()))
		if len(got) < 100 || len(got) > 160 || got[len(got)-1] != "kixx: verify: these are the first 100 problems, and there may be more" {
			t.Errorf("Verify says %d things, the last is %q", len(got), got[len(got)-1])
		}
	}
}

// A shortLived store lets a snapshot be read only so often.
type shortLived struct {
	store.Store
	reads     int
	snapshots int
}

func (s *shortLived) Snapshot(ctx context.Context, f func(store.SnapshotReader) error) error {
	s.snapshots++
	return s.Store.Snapshot(ctx, func(r store.SnapshotReader) error {
		return f(&shortReader{r, s.reads})
	})
}

type shortReader struct {
	store.SnapshotReader
	left int
}

func (r *shortReader) Get(ctx context.Context, keys ...[]byte) ([]store.Item, error) {
	if r.left--; r.left < 0 {
		return nil, store.ErrSnapshotTooOld
	}
	return r.SnapshotReader.Get(ctx, keys...)
}

func (r *shortReader) Page(ctx context.Context, p store.Page) ([]store.Item, error) {
	if r.left--; r.left < 0 {
		return nil, store.ErrSnapshotTooOld
	}
	return r.SnapshotReader.Page(ctx, p)
}

func TestVerifyGoesOnWithTheNextSnapshot(t *testing.T) {
	d := newDamaged(t)
	d.put(kixx.NumberKey(d.db, 2), []byte("ghost"))
	d.remove(d.stored("Folder", 0).Key)
	e := d.stored("ByWord", 0)
	d.put(e.Key, []byte{7})
	short := &shortLived{Store: d.st, reads: 8}
	db := must[*kixx.DB](t)(kixx.OpenStore(t.Context(), short, kixx.WithRetry(2)))
	newMemos(t, db)
	want := problems(t, d.db.Verify(t.Context()))
	got := problems(t, db.Verify(t.Context()))
	if !slices.Equal(got, want) || len(want) != 3 {
		t.Errorf("Verify says\n\t%s\nand with one snapshot for all\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	if short.snapshots < 4 {
		t.Errorf("there were %d snapshots, want several", short.snapshots)
	}
	short.reads = 3
	if err := db.Verify(t.Context()); !errors.Is(err, kixx.ErrSnapshotTooOld) {
		t.Errorf("with snapshots too short for anything Verify = %v, want ErrSnapshotTooOld", err)
	}
}

func TestVerifyComparesEveryNamespace(t *testing.T) {
	d := newDamaged(t)
	acme := must[*kixx.DB](t)(d.db.Namespace(t.Context(), "acme"))
	must[*kinds.Memo](t)(newMemos(t, acme).Insert(t.Context(), memo("n")))
	if err := d.db.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.remove(must[[]store.Item](t)(kixx.Stored(t.Context(), acme, "memo", "Folder"))[0].Key)
	got := problems(t, d.db.Verify(t.Context()))
	if len(got) != 1 || got[0] != `kixx: memo "n": the index Folder has no entry for it` {
		t.Errorf("Verify says %q", got)
	}
}

func TestVerifyOfAClosedDatabase(t *testing.T) {
	d := newDamaged(t)
	d.db.Close()
	if err := d.db.Verify(t.Context()); !errors.Is(err, kixx.ErrClosed) {
		t.Errorf("Verify = %v, want ErrClosed", err)
	}
}

// Whatever the runtime writes, on any store and while it is written, is in order.
func TestVerifyFindsNothingWhileOthersWrite(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		db := p.DB(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		memos, items, posts := newMemos(t, db), newItems(t, db), must[*kinds.PostRepo](t)(kinds.NewPostRepo(t.Context(), db))
		var writers, begun sync.WaitGroup
		begun.Add(3)
		for w := range 3 {
			writers.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), 7))
				for n := 0; ctx.Err() == nil; n++ {
					if n == 50 {
						begun.Done()
					}
					id := fmt.Sprint(rng.IntN(12))
					at := time.Unix(int64(rng.IntN(9)), 0)
					// Any of these may be refused: that there is none, or one, or that a title is taken.
					switch rng.IntN(7) {
					case 0:
						memos.Upsert(ctx, id, func(m *kinds.Memo) error {
							m.Title, m.Tags = fmt.Sprint("t ", rng.IntN(20)), []string{id, "x"}
							return nil
						})
					case 1:
						memos.Delete(ctx, id)
					case 2:
						memos.Restore(ctx, id)
					case 3:
						memos.Purge(ctx, id)
					case 4:
						it := item(id)
						it.Price = float64(rng.IntN(100))
						items.Overwrite(ctx, it)
					case 5:
						items.Delete(ctx, id)
					case 6:
						posts.Overwrite(ctx, &kinds.Post{Tenant: "t", Slug: id, Title: id + " of words", PublishedAt: &at, Tags: []kinds.Channel{"c", "d"}})
					}
				}
			})
		}
		begun.Wait()
		for range count(20, 100, 1000) {
			if err := db.Verify(t.Context()); err != nil {
				t.Error(err)
				break
			}
		}
		stop()
		writers.Wait()
		if err := db.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		if n, err := memos.WithDeleted().Count(t.Context()); err != nil || n == 0 {
			t.Errorf("the writers left %d memos, %v", n, err)
		}
	})
}

// Every type of field, key, index and view is compared as it was written.
func TestVerifyOfEveryKindOfDocument(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx, db := t.Context(), p.DB(t)
		every := must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, db))
		visits := must[*kinds.VisitRepo](t)(kinds.NewVisitRepo(ctx, db))
		posts := must[*kinds.PostRepo](t)(kinds.NewPostRepo(ctx, db))
		moments := must[*kinds.MomentRepo](t)(kinds.NewMomentRepo(ctx, db))
		tokens := must[*kinds.TokenRepo](t)(kinds.NewTokenRepo(ctx, db))
		switches := must[*kinds.SwitchRepo](t)(kinds.NewSwitchRepo(ctx, db))
		f := filler{rand.New(rand.NewPCG(3, 4))}
		stored := make([]int, 6)
		for range count(40, 300, 3000) {
			docs := []any{new(kinds.Every), new(kinds.Visit), new(kinds.Post), new(kinds.Moment), new(kinds.Token), new(kinds.Switch)}
			for i := range docs {
				f.fill(reflect.ValueOf(docs[i]).Elem(), 3)
			}
			// A random document may be refused: its key is a time that cannot be one, or its title is taken.
			errs := make([]error, len(docs))
			_, errs[0] = every.Overwrite(ctx, docs[0].(*kinds.Every))
			_, errs[1] = visits.Overwrite(ctx, docs[1].(*kinds.Visit))
			_, errs[2] = posts.Overwrite(ctx, docs[2].(*kinds.Post))
			_, errs[3] = moments.Overwrite(ctx, docs[3].(*kinds.Moment))
			_, errs[4] = tokens.Overwrite(ctx, docs[4].(*kinds.Token))
			_, errs[5] = switches.Overwrite(ctx, docs[5].(*kinds.Switch))
			for i, err := range errs {
				if err == nil {
					stored[i]++
				}
			}
		}
		if err := db.Verify(ctx); err != nil {
			t.Error(err)
		}
		if slices.Min(stored) < 10 {
			t.Errorf("%v documents were stored of each kind, want at least 10", stored)
		}
	})
}

// Documents of an older program, indexes that it does not keep, and their build are no problems.
func TestVerifyKnowsWhatOtherProgramsLeave(t *testing.T) {
	everywhere(t, func(t *testing.T, p repotest.Place) {
		ctx := t.Context()
		v := newVersions(t, p)
		today := v.New()
		verify := func(when string, db *kixx.DB) {
			t.Helper()
			if err := db.Verify(ctx); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		for i := range 70 {
			must[*v2.Thing](t)(today.Insert(ctx, &v2.Thing{ID: fmt.Sprint(i), Name: "n", Size: i, Color: "red"}))
		}
		db := v.DB()
		verify("before any repository", db)
		yesterday := v.Old()
		if err := yesterday.Delete(ctx, "7"); err != nil {
			t.Fatal(err)
		}
		verify("with an index that is stale, and no repository", db)
		again := v.DB()
		must[*v2.ThingRepo](t)(v2.NewThingRepo(ctx, again))
		verify("after the build", again)
	})
}

// BenchmarkVerify verifies a thousand items with seven entries each.
func BenchmarkVerify(b *testing.B) {
	db := must[*kixx.DB](b)(kixx.Open(b.Context(), "mem:"))
	defer db.Close()
	items := newItems(b, db)
	for i := range 1000 {
		put(b, items, item(fmt.Sprintf("%04d", i)))
	}
	for b.Loop() {
		if err := db.Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
