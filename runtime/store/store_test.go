package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/store"
)

func key(s string) []byte { return []byte(s) }

func TestCheckRefusesWhatBreaksTheContract(t *testing.T) {
	limits := store.Limits{Ops: 3, Bytes: 100, Value: 50}
	long := strings.Repeat("k", store.MaxKey+1)
	for _, c := range []struct {
		name string
		b    store.Batch
		want error // nil: it is good
	}{
		{"empty", store.Batch{}, nil},
		{"sorted", store.Batch{Ops: []store.Op{{Key: key("a")}, {Key: key("b"), Delete: true}}}, nil},
		{"not sorted", store.Batch{Ops: []store.Op{{Key: key("b")}, {Key: key("a")}}}, store.ErrBadBatch},
		{"twice", store.Batch{Ops: []store.Op{{Key: key("a")}, {Key: key("a")}}}, store.ErrBadBatch},
		{"empty key", store.Batch{Ops: []store.Op{{}}}, store.ErrBadBatch},
		{"long key", store.Batch{Ops: []store.Op{{Key: key(long)}}}, store.ErrTooLarge},
		{"deletes with a value", store.Batch{Ops: []store.Op{{Key: key("a"), Delete: true, Value: key("v")}}}, store.ErrBadBatch},
		{"a value at the limit", store.Batch{Ops: []store.Op{{Key: key("a"), Value: make([]byte, 50)}}}, nil},
		{"a value over the limit", store.Batch{Ops: []store.Op{{Key: key("a"), Value: make([]byte, 51)}}}, store.ErrTooLarge},
		{"too many bytes", store.Batch{Ops: []store.Op{{Key: key("a"), Value: make([]byte, 50)}, {Key: key("b"), Value: make([]byte, 50)}}}, store.ErrTooLarge},
		{"three operations", store.Batch{Ops: []store.Op{{Key: key("a")}}, Checks: []store.Check{{Key: key("b")}}, Fences: []store.Check{{Key: key("c")}}}, nil},
		{"four operations", store.Batch{Ops: []store.Op{{Key: key("a")}, {Key: key("b")}}, Checks: []store.Check{{Key: key("c")}}, Fences: []store.Check{{Key: key("d")}}}, store.ErrTooLarge},
		{"checked and changed", store.Batch{Ops: []store.Op{{Key: key("a")}}, Checks: []store.Check{{Key: key("a")}}}, store.ErrBadBatch},
		{"fenced and changed", store.Batch{Ops: []store.Op{{Key: key("a")}, {Key: key("b")}}, Fences: []store.Check{{Key: key("b")}}}, store.ErrBadBatch},
		{"checks not sorted", store.Batch{Checks: []store.Check{{Key: key("b")}, {Key: key("a")}}}, store.ErrBadBatch},
		{"range checks", store.Batch{Ranges: []store.RangeCheck{{}}}, store.ErrNotSupported},
	} {
		if err := c.b.Check(limits); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestGuards(t *testing.T) {
	if _, ok := (store.Guard{}).Version(); ok {
		t.Error("the zero Guard has a condition")
	}
	if v, ok := store.At(store.Absent).Version(); !ok || v != store.Absent {
		t.Errorf("At(Absent).Version() = %d, %v", v, ok)
	}
}

func TestErrorsMatchTheirSentinels(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err, is error
		text    string
	}{
		{&store.ConflictError{Key: key("a")}, store.ErrConflict, "key 61"},
		{&store.ConflictError{}, store.ErrConflict, "something"},
		{&store.UnknownError{Err: cause}, store.ErrUnknown, "cause"},
		{&store.UnknownError{Err: cause}, cause, "cause"},
		{&store.LimitError{What: "operations", Have: 129, Max: 128}, store.ErrTooLarge, "129 operations, this store takes 128"},
		{&store.CorruptError{File: "seg-1", Offset: 64, What: "checksum"}, store.ErrCorrupt, "seg-1 at offset 64: checksum"},
		{&store.CorruptError{File: "seg-1", Offset: -1, What: "missing"}, store.ErrCorrupt, "seg-1: missing"},
		{&store.LockedError{Path: "/d", PID: 7, Host: "h"}, store.ErrLocked, "/d is in use by process 7 on h"},
		{&store.LockedError{Path: "/d"}, store.ErrLocked, "/d is in use by another process"},
	} {
		if !errors.Is(c.err, c.is) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%q: want it to match %v and to have %q in it", c.err, c.is, c.text)
		}
	}
}

func TestOpenByScheme(t *testing.T) {
	store.Register("storetest-x", func(_ context.Context, url string, _ store.Options) (store.Store, error) {
		return nil, errors.New("opened " + url)
	})
	if _, err := store.Open(t.Context(), "storetest-x://h/p?q", store.Options{}); err == nil || err.Error() != "opened storetest-x://h/p?q" {
		t.Errorf("Open = %v, want the URL handed on as it is", err)
	}
	for _, url := range []string{"storetest-y:", "no scheme", ""} {
		if _, err := store.Open(t.Context(), url, store.Options{}); err == nil || !strings.Contains(err.Error(), "storetest-x:") {
			t.Errorf("Open(%q): %v, want an error that lists the known schemes", url, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a scheme was registered twice")
		}
	}()
	store.Register("storetest-x", nil)
}
