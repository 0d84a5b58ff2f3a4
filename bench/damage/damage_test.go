package damage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests are the parent and the children.
func TestMain(m *testing.M) {
	Child(append(Peers(), fakePeer))
	os.Exit(m.Run())
}

// What each store is known to say when a bit of a document has changed. Where nothing says so, the bit is found in the
// files, since the document is in them as it is.
var known = map[string]Outcome{
	"kixx":           Detected,
	"kixx-runs":      Detected,
	"bbolt":          Wrong,
	"sqlite":         Wrong,
	"buntdb":         Wrong,
	"badger":         Wrong,
	"badger-verify":  Died,
	"pebble":         Missing,
	"pebble-flushed": Died,
}

// Every store reads back what it was given, and a bit that certainly matters is seen to matter.
func TestBitOfADocument(t *testing.T) {
	for _, p := range Peers() {
		t.Run(p.Name, func(t *testing.T) {
			b := openBench(t, p, Options{Documents: 60, Workers: 1})
			if err := b.checkUndamaged(t.Context()); err != nil {
				t.Fatal(err)
			}
			want, seen := known[p.Name], map[Outcome]int{}
			for _, flip := range inDocuments(b.image, b.docs, 8) {
				a, err := b.try(t.Context(), flip)
				if err != nil {
					t.Fatal(err)
				}
				seen[a.Outcome]++
			}
			// A store may hold older copies of a page, which nobody reads.
			if seen[want] == 0 {
				t.Errorf("flips in documents gave %v, want %q among them", seen, want)
			}
		})
	}
}

// inDocuments returns at most n flips, each in a document that is in the files as it is, uncompressed.
func inDocuments(im image, docs []Document, n int) (flips []Flip) {
	for _, d := range docs {
		for part := range slices.Chunk(d.Value[60:], 24) {
			for _, f := range im {
				for off := bytes.Index(f.data, part); off >= 0 && len(flips) < n; off = after(f.data, part, off) {
					flips = append(flips, Flip{File: f.name, Offset: off + len(part)/2, Bit: uint8(len(flips) % 3)})
				}
			}
		}
	}
	return flips
}

// after returns where part is again in data, behind off; -1 if it is not.
func after(data, part []byte, off int) int {
	i := bytes.Index(data[off+1:], part)
	if i < 0 {
		return -1
	}
	return off + 1 + i
}

// A small run over every store; the file store of kixx never lies and never dies.
func TestRun(t *testing.T) {
	for _, p := range Peers() {
		t.Run(p.Name, func(t *testing.T) {
			every := openBench(t, p, Options{Documents: 60}).image.every(40)
			r, err := Run(t.Context(), p, Options{Documents: 60, Every: every})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Results) < 30 || len(r.Results) == r.Counts[Harmless] {
				t.Errorf("%d flips, %v", len(r.Results), r.Counts)
			}
			for _, res := range r.Results {
				if strings.HasPrefix(p.Name, "kixx") && res.Outcome != Detected && res.Outcome != Harmless {
					t.Errorf("%+v", res)
				}
			}
			t.Logf("%d flips: %v", len(r.Results), r.Counts)
		})
	}
}

// What a store does for each byte of the file "behaviour" that has changed, and what that is called.
var behaviours = []struct {
	does string
	want Outcome
	say  string // in the detail
}{
	{"right", Harmless, ""},
	{"open fails", Detected, "Open: it is damaged"},
	{"get fails", Detected, "Get item:000003: it is damaged"},
	{"close fails", Detected, "Close: it is damaged"},
	{"wrong", Wrong, "item:000004: byte 7 of"},
	{"short", Wrong, "item:000004: 9 bytes"},
	{"missing", Missing, "item:000005 is not there"},
	{"missing, wrong", Wrong, "item:000004"},
	{"get fails, wrong", Wrong, "item:000004"},
	{"get fails, missing", Missing, "item:000005"},
	{"open panics", Died, "panic: no such page"},
	{"get panics", Died, "panic: no such page"},
	{"get fails, get panics", Died, "panic: no such page"},
	{"wrong, get panics", Wrong, "item:000004"},
	{"goroutine panics", Died, "panic: in the background"},
	{"exits", Died, "exit status 1: fatal: the table is damaged"},
}

func TestOutcomes(t *testing.T) {
	b := openBench(t, fakePeer, Options{Documents: 10, Workers: 1})
	if err := b.checkUndamaged(t.Context()); err != nil {
		t.Fatal(err)
	}
	var flips []Flip
	for i := range behaviours {
		flips = append(flips, Flip{File: "behaviour", Offset: i})
	}
	results, err := b.tryAll(t.Context(), flips)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if want := behaviours[i]; r.Outcome != want.want || !strings.Contains(r.Detail, want.say) {
			t.Errorf("%s: %q, %q, want %q, %q", want.does, r.Outcome, r.Detail, want.want, want.say)
		}
	}
	if n := b.workers[0].strays; n != 0 {
		t.Errorf("%d deaths did not happen again", n)
	}
}

func TestStoreThatHangsHasDied(t *testing.T) {
	b := openBench(t, fakePeer, Options{Documents: 10, Workers: 1, Patience: 500 * time.Millisecond})
	a, err := b.try(t.Context(), Flip{File: "behaviour", Offset: len(behaviours)})
	if err != nil || a.Outcome != Died || a.Detail != "no answer in 500ms" {
		t.Errorf("%+v, %v", a, err)
	}
}

// What a store has left behind kills the process at a later flip, which is not to blame.
func TestLateDeathIsNotBlamedOnTheNextFlip(t *testing.T) {
	b := openBench(t, fakePeer, Options{Documents: 10, Workers: 1})
	for _, at := range []int{len(behaviours) + 1, 0} {
		a, err := b.try(t.Context(), Flip{File: "behaviour", Offset: at})
		if err != nil || a.Outcome != Harmless {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if n := b.workers[0].strays; n != 1 {
		t.Errorf("%d deaths that did not happen again, want 1", n)
	}
}

func TestRunRefusesAStoreThatIsWrongUndamaged(t *testing.T) {
	p := fakePeer
	p.Store = fakeStore{forgets: true}
	if _, err := Run(t.Context(), p, Options{Documents: 10}); err == nil || !strings.Contains(err.Error(), "fake, undamaged: silent missing: item:000009 is not there") {
		t.Errorf("Run: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, fakePeer, Options{Documents: 10}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

func TestFlips(t *testing.T) {
	im := image{{name: "a", data: make([]byte, 3)}, {name: "b"}, {name: "c", data: make([]byte, 8)}, {name: "d", data: make([]byte, 9)}}
	var got []string
	for _, f := range im.flips(5) {
		got = append(got, fmt.Sprint(f.File, f.Offset, ".", f.Bit))
	}
	if want := "a2.0 c4.1 d1.2 d6.3"; strings.Join(got, " ") != want {
		t.Errorf("flips(5) = %v, want %v", got, want)
	}
	if n := len(im.flips(1)); n != im.bytes() {
		t.Errorf("flips(1) are %d, want one for each of %d bytes", n, im.bytes())
	}
}

// A copy is the files as they are, with one bit changed.
func TestImage(t *testing.T) {
	dir, dst := t.TempDir(), t.TempDir()
	files := map[string]string{"a": "abc\x00d\x00\x00\x00", "empty": "", "sub/zero": "\x00\x00", "z": "x"}
	for name, text := range files {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	im, err := readImage(dir)
	if err != nil {
		t.Fatal(err)
	}
	if im.bytes() != 6 {
		t.Errorf("%d bytes can be flipped, want 6", im.bytes())
	}
	if err := im.write(dst, Flip{File: "a", Offset: 1, Bit: 4}); err != nil {
		t.Fatal(err)
	}
	files["a"] = "arc\x00d\x00\x00\x00"
	got := map[string]string{}
	for name := range files {
		text, err := os.ReadFile(filepath.Join(dst, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(text)
	}
	if !maps.Equal(got, files) {
		t.Errorf("copied %q, want %q", got, files)
	}
	if again, _ := readImage(dir); again[0].data[1] != 'b' {
		t.Error("the image itself was changed")
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	results := make([]Result, 200)
	results[9].Documents = 7
	err := WriteTable(&b, []*Report{{
		Peer: "fake", Version: "v1.2.3", Every: 7, Files: []File{{Bytes: 300}, {Bytes: 1100}}, Results: results,
		Counts: map[Outcome]int{Detected: 199, Wrong: 1},
	}})
	want := `| store | version | options | bytes | a flip every | flips | detected | harmless | silent wrong | silent missing | died | documents hit |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| fake | v1.2.3 | default | 1400 | 7 | 200 | 199 (>99 %) | 0 | 1 (<1 %) | 0 | 0 | 7, at most 7 |
`
	if err != nil || b.String() != want {
		t.Errorf("got\n%s%v\nwant\n%s", b.String(), err, want)
	}
}

func openBench(t *testing.T, p Peer, o Options) *bench {
	t.Helper()
	b, err := newBench(p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// fakeStore keeps its documents as JSON, and does what the file "behaviour" says.
type fakeStore struct{ forgets bool }

var fakePeer = Peer{Name: "fake", Store: fakeStore{}}

func (f fakeStore) Fill(dir string, docs []Document) error {
	if f.forgets {
		docs = docs[:len(docs)-1]
	}
	data, err := json.Marshal(docs)
	if err != nil {
		return err
	}
	plain := bytes.Repeat([]byte("-"), len(behaviours)+2)
	return errors.Join(os.WriteFile(filepath.Join(dir, "documents"), data, 0o600), os.WriteFile(filepath.Join(dir, "behaviour"), plain, 0o600))
}

var diesLater bool

func (f fakeStore) Open(dir string) (Reader, error) {
	if diesLater {
		os.Exit(1)
	}
	data, err := os.ReadFile(filepath.Join(dir, "documents"))
	if err != nil {
		return nil, err
	}
	r := &fakeReader{}
	if err := json.Unmarshal(data, &r.docs); err != nil {
		return nil, err
	}
	behaviour, err := os.ReadFile(filepath.Join(dir, "behaviour"))
	if err != nil {
		return nil, err
	}
	switch at := bytes.IndexFunc(behaviour, func(c rune) bool { return c != '-' }); at {
	case -1:
	case len(behaviours):
		time.Sleep(time.Hour)
	case len(behaviours) + 1:
		diesLater = true
	default:
		r.does = behaviours[at].does
	}
	switch r.does {
	case "open fails":
		return nil, errors.New("it is damaged")
	case "open panics":
		panic("no such page")
	case "goroutine panics":
		go panic("in the background")
		select {}
	case "exits":
		fmt.Fprintln(os.Stderr, "some lines before")
		fmt.Fprintln(os.Stderr, "fatal: the table is damaged")
		os.Exit(1)
	}
	return r, nil
}

type fakeReader struct {
	docs []Document
	does string
}

func (r *fakeReader) Get(key string) ([]byte, error) {
	fmt.Println("what a store prints is no answer")
	does := func(what string) bool { return slices.Contains(strings.Split(r.does, ", "), what) }
	i := slices.IndexFunc(r.docs, func(d Document) bool { return d.Key == key })
	switch {
	case i < 0, does("missing") && i == 5:
		return nil, ErrMissing
	case does("get fails") && i == 3:
		return nil, errors.New("it is damaged")
	case does("get panics") && i == 6:
		panic("no such page")
	case does("wrong") && i == 4:
		r.docs[i].Value[7] ^= 0x10
	case does("short") && i == 4:
		return r.docs[i].Value[:9], nil
	}
	return r.docs[i].Value, nil
}

func (r *fakeReader) Close() error {
	if r.does == "close fails" {
		return errors.New("it is damaged")
	}
	return nil
}
