package kixx_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for url, want := range map[string]string{
		"nothing":             `no store for the URL scheme "nothing"; known are file: mem:`,
		"gopher://u:secret@h": "known are file: mem:",
		"file:" + t.TempDir() + "?sync=sometimes": "sync",
	} {
		_, err := kixx.Open(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%s): %v, want %q in it", url, err, want)
		}
	}
}

func TestOpenTwiceIsLocked(t *testing.T) {
	url := "file:" + t.TempDir()
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), url))
	_, err := kixx.Open(t.Context(), url)
	var le *kixx.LockedError
	if !errors.Is(err, kixx.ErrLocked) || !errors.As(err, &le) || le.PID != os.Getpid() || kixx.Code(err) != "LOCKED" {
		t.Errorf("the second Open: %v, want ErrLocked with pid %d", err, os.Getpid())
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = must[*kixx.DB](t)(kixx.Open(t.Context(), url))
	db.Close()
}

func TestDamagedFileIsReported(t *testing.T) {
	dir := t.TempDir()
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "file:"+dir))
	put(t, newItems(t, db), item("a"))
	db.Close()
	segments, _ := filepath.Glob(filepath.Join(dir, "seg-*"))
	if len(segments) == 0 {
		t.Fatal("there is no segment")
	}
	b := must[[]byte](t)(os.ReadFile(segments[0]))
	b[len(b)/2] ^= 0x10
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := kixx.Open(t.Context(), "file:"+dir)
	var ce *kixx.CorruptError
	if !errors.As(err, &ce) || !errors.Is(err, kixx.ErrCorrupt) || ce.File == "" || ce.Offset <= 0 {
		t.Errorf("Open with a flipped bit: %v, want a CorruptError with file and offset", err)
	}
}

func TestPortableRefusesWhatDoesNotFitEverywhere(t *testing.T) {
	p := memory(t)
	items := p.Items(t, kixx.Portable())
	big := item("big")
	big.Title, big.Tags = "t", []string{strings.Repeat("x", 100)}
	big.Category = "c"
	for range 200 {
		big.Tags = append(big.Tags, "tag-"+string(rune('a'+len(big.Tags)%26))+strings.Repeat("y", len(big.Tags)))
	}
	_, err := items.Set(t.Context(), big)
	var le *kixx.LimitError
	if !errors.As(err, &le) || !errors.Is(err, kixx.ErrTooLarge) || le.Max != store.Portable.Ops {
		t.Errorf("Set with 200 index entries: %v, want ErrTooLarge with the limit of operations", err)
	}
	if _, err := p.Items(t).Set(t.Context(), big); err != nil {
		t.Errorf("the same where it need not be portable: %v", err)
	}
}

func TestErrorCodes(t *testing.T) {
	for code, err := range map[string]error{
		"":                 nil,
		"OTHER":            errors.New("x"),
		"NOT_FOUND":        &kixx.KeyError{Err: kixx.ErrNotFound},
		"ALREADY_EXISTS":   &kixx.KeyError{Err: kixx.ErrExists},
		"BAD_KEY":          &kixx.KeyError{Err: kixx.ErrBadKey},
		"CONFLICT_ERROR":   &kixx.ConflictError{},
		"NOT_UNIQUE":       &kixx.UniqueError{},
		"INVALID_DOCUMENT": &kixx.InvalidError{},
		"TOO_LARGE":        &kixx.KeyLengthError{},
		"INDEX_NOT_READY":  &kixx.BuildingError{},
		"CORRUPT_DATA":     &kixx.CorruptError{},
		"LOCKED":           &kixx.LockedError{},
		"UNKNOWN_OUTCOME":  &store.UnknownError{Err: errors.New("x")},
		"DISK_FULL":        kixx.ErrFull,
	} {
		if got := kixx.Code(err); got != code {
			t.Errorf("Code(%v) = %s, want %s", err, got, code)
		}
	}
}

func TestErrorSentences(t *testing.T) {
	for want, err := range map[string]error{
		`kixx: item "a": there is no such document`:                                                      &kixx.KeyError{Entity: "item", Key: "a", Err: kixx.ErrNotFound},
		`kixx: event 7: already there; use Update, or Upsert if either is fine`:                          &kixx.KeyError{Entity: "event", Key: int64(7), Err: kixx.ErrExists},
		`kixx: item "a": stored revision is 4, yours is 3; read it again or use Update`:                  &kixx.ConflictError{Entity: "item", Key: "a", Given: kixx.RevOf(3), Stored: kixx.RevOf(4)},
		`kixx: item "a": it is not stored any more, yours is revision 3`:                                 &kixx.ConflictError{Entity: "item", Key: "a", Given: kixx.RevOf(3)},
		`kixx: item "a": its SKU is taken by "b"`:                                                        &kixx.UniqueError{Entity: "item", Key: "a", Index: "SKU", Holder: "b"},
		`kixx: item "a": its entry in the index Tags takes 1200 bytes, the most is 1024`:                 &kixx.KeyLengthError{Entity: "item", Key: "a", Index: "Tags", Length: 1200},
		`kixx: item "a": changed by others during each of 20 tries; try again later, or raise WithRetry`: &kixx.BusyError{Entity: "item", Key: "a", Tries: 20},
		`kixx: item "a": invalid: Title breaks required, Price breaks gte=0`:                             &kixx.InvalidError{Entity: "item", Key: "a", Fields: []kixx.FieldError{{Field: "Title", Rule: "required"}, {Field: "Price", Rule: "gte=0"}}},
	} {
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	ctx := t.Context()
	db := must[*kixx.DB](t)(kixx.Open(ctx, "file:"+t.TempDir()+"?sync=none"))
	defer db.Close()
	items := newItems(t, db)
	shelf(t, items, 90)
	get := testing.AllocsPerRun(200, func() { items.Get(ctx, "item:042") })
	first := must[kixx.Page[*kinds.Item]](t)(items.QueryByCategory("c1").Limit(5).Page(ctx))
	page := testing.AllocsPerRun(200, func() {
		page, err := items.QueryByCategory("c1").Limit(20).After(first.Next).Page(ctx)
		if err != nil || len(page.Items) != 20 {
			t.Error(err)
		}
	})
	t.Logf("a cached get allocates %v times, a page of 20 %v times", get, page)
	if raceEnabled {
		return // the detector allocates itself
	}
	if get > 3 || page > 45 {
		t.Errorf("a cached get allocates %v times and a page of 20 %v times, want at most 3 and 45", get, page)
	}
}
