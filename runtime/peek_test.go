package kixx_test

import (
	"context"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
)

// Whatever a caller does to what accessors return, the shared document stays as it is.
func TestPeekKeepsTheSharedDocument(t *testing.T) {
	ctx := t.Context()
	every := must[*kinds.EveryRepo](t)(kinds.NewEveryRepo(ctx, places[0].make(t).DB(t)))
	f := filler{rand.New(rand.NewPCG(1, 2))}
	for range count(200, 2_000, 50_000) {
		in := new(kinds.Every)
		f.fill(reflect.ValueOf(in).Elem(), 3)
		doc := must[*kinds.Every](t)(every.Overwrite(ctx, in))
		peek := must[kinds.EveryPeek](t)(every.Peek(ctx, doc.ID))
		v := reflect.ValueOf(peek)
		for i := range v.NumMethod() {
			name := v.Type().Method(i).Name
			got := v.Method(i).Call(nil)[0]
			want := reflect.ValueOf(doc).Elem().FieldByName(name)
			if copied := got.MethodByName("Copy"); copied.IsValid() {
				got = copied.Call(nil)[0]
			}
			if want.Type() != got.Type() {
				got = got.Convert(want.Type())
			}
			if !reflect.DeepEqual(got.Interface(), want.Interface()) {
				t.Fatalf("%s() = %v, want %v", name, got, want)
			}
			scramble(got, 0)
		}
		if again := must[*kinds.Every](t)(every.Get(ctx, doc.ID)); !reflect.DeepEqual(again, doc) {
			t.Fatalf("the shared document has changed: %+v, want %+v", again, doc)
		}
	}
}

// scramble changes everything that v refers to.
func scramble(v reflect.Value, depth int) {
	if depth > 20 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scramble(v.Elem(), depth+1)
		}
	case reflect.Slice:
		for i := range v.Len() {
			scramble(v.Index(i), depth+1)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			scramble(v.MapIndex(k), depth+1)
			v.SetMapIndex(k, reflect.Value{})
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() || f.Kind() == reflect.Slice || f.Kind() == reflect.Map || f.Kind() == reflect.Pointer {
				scramble(f, depth+1)
			}
		}
	default:
		if v.CanSet() {
			v.SetZero()
		}
	}
}

func TestPeekAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	items := places[0].make(t).Items(t)
	put(t, items, item("a"))
	sum := 0.0
	n := testing.AllocsPerRun(1000, func() {
		peek, err := items.Peek(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range peek.Tags().All() {
			sum += float64(len(tag))
		}
		sum += peek.Price() + float64(len(peek.Title()))
	})
	if n > 0 && !raceEnabled {
		t.Errorf("Peek allocates %v times", n)
	}
}
