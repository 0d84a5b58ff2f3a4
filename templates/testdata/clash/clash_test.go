package clash

import (
	"reflect"
	"testing"
	"time"

	v1 "github.com/kixxgen/kixxgen/templates/testdata/clash/v"
)

func TestNamesOfTheApplicationDoNotClashWithGeneratedOnes(t *testing.T) {
	doc := &It{
		ID: "id", B: "b", U: 1, N: name{"n"}, Err: 2, C: c{"k": "v"}, X: []x2{1, 2}, XX: [][]x2{{3}, {}}, I: []i{{1, 2, 3}}, K: map[k]e{true: "e"},
		Key: "k", Dst: 3, Src: 4, Gen: "g", T: []time.Time{time.Unix(1, 2).UTC()}, V: v1.V{V: []int{1}}, D: depth{[]depth{{}}},
		It: "it", E: "e", R: "r", Ent: "ent", Doc: "doc",
	}
	got := new(It)
	if rest, err := readIt(got, appendIt(nil, cloneIt(doc), nil), nil); err != nil || len(rest) > 0 || !reflect.DeepEqual(got, doc) {
		t.Errorf("%+v is read back as %+v, error %v", doc, got, err)
	}
}
