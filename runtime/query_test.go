package kixx_test

import (
	"errors"
	"reflect"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

func TestFixedQueryPages(t *testing.T) {
	list := []*kinds.Item{item("a"), item("b"), item("c")}
	q := kixx.FixedQuery(list, func(it *kinds.Item) string { return it.ID }, nil)
	page := must[kixx.Page[*kinds.Item]](t)(q.Limit(2).Page(t.Context()))
	if ids(page.Items) != "a b " || page.Next == "" {
		t.Errorf("first page = %s, next %q", ids(page.Items), page.Next)
	}
	if got := ids(must[kixx.Page[*kinds.Item]](t)(q.After(page.Next).Page(t.Context())).Items); got != "c " {
		t.Errorf("second page = %s", got)
	}
	if keys := must[kixx.Page[string]](t)(q.Reverse().Keys(t.Context())); !reflect.DeepEqual(keys.Items, []string{"c", "b", "a"}) {
		t.Errorf("Keys = %v", keys.Items)
	}
	mine := errors.New("mine")
	if _, err := kixx.FixedQuery[*kinds.Item, string](list, nil, mine).Collect(t.Context()); !errors.Is(err, mine) {
		t.Errorf("Collect of a failing fake: %v", err)
	}
	if it := must[*kinds.Item](t)(q.First(t.Context())); it.ID != "a" {
		t.Errorf("First = %v", it)
	}
}
