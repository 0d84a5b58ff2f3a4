// Package kinds has entities with every kind of field, index, view and hook, for the tests of the runtime.
package kinds

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

//go:generate go run github.com/kixxgen/kixxgen/cmd/kixxgen ./...

// Item is a thing on a shelf, as a small application would have it.
//
//kixx:entity peek
//kixx:index CategoryPrice Category,Price:desc
//kixx:view ByPriceRange func=emitPriceRange
type Item struct {
	ID        string    `json:"id" kixx:"key"`
	Rev       kixx.Rev  `json:"_rev" kixx:"rev"`
	Title     string    `json:"title" validate:"required,max=200"`
	SKU       string    `json:"sku" kixx:"unique" validate:"required"`
	Category  string    `json:"category" kixx:"index" validate:"required"`
	Price     float64   `json:"price" kixx:"index" validate:"gte=0"`
	Tags      []string  `json:"tags" kixx:"index"`
	CreatedAt time.Time `json:"createdAt" kixx:"created,index:desc"`
	UpdatedAt time.Time `json:"updatedAt" kixx:"updated"`
}

// PriceLine is what the view shows of an item.
type PriceLine struct {
	Title string
	Price float64
}

func emitPriceRange(it *Item, emit kixx.Emit[string, PriceLine]) {
	low := math.Floor(it.Price/10) * 10
	emit(fmt.Sprintf("%06.0f-%06.0f", low, low+9), PriceLine{it.Title, it.Price})
	if it.Price == 7777 { // twice with one key, for tests
		emit(fmt.Sprintf("%06.0f-%06.0f", low, low+9), PriceLine{it.Title + " again", it.Price})
	}
}

// Status is a named text, Level a named number.
type (
	Status string
	Level  int16
	Blob   []byte
)

// Base is embedded.
type Base struct {
	Note  string `json:"note"`
	Level Level  `json:"level" kixx:"index"`
}

// Dims nests.
type Dims struct {
	W, H  float64
	Inner *Dims
	Marks map[string]time.Time
	loose int `kixx:"-"`
}

// Every has a field of every type that can be stored.
//
//kixx:entity peek
//kixx:index StatusWhen Status,When:desc
type Every struct {
	ID  int64    `kixx:"key"`
	Rev kixx.Rev `kixx:"rev"`
	Base

	Bool    bool `kixx:"index"`
	Int     int  `kixx:"index:desc"`
	Int8    int8 `kixx:"index"`
	Int32   int32
	Uint    uint `kixx:"index"`
	Uint8   uint8
	Uint16  uint16
	Uint64  uint64  `kixx:"index"`
	Float32 float32 `kixx:"index"`
	Float64 float64
	Text    string
	Status  Status        `kixx:"index"`
	When    time.Time     `kixx:"index"`
	Took    time.Duration `kixx:"index"`
	Bytes   []byte        `kixx:"index"`
	Blob    Blob
	Raw     json.RawMessage

	PtrInt  *int `kixx:"index"`
	PtrText *string
	PtrTime *time.Time `kixx:"index:desc"`
	PtrDims *Dims

	Texts   []string
	Ints    []int32 `kixx:"index"`
	Times   []time.Time
	Structs []Dims
	Ptrs    []*Dims
	Grid    [][]float64
	Array   [3]uint16
	Dims    Dims

	ByText   map[string]int
	ByInt    map[int16]string
	ByBool   map[bool]Dims `json:"-"` // which encoding/json does not know
	ByStatus map[Status][]Level
	Deep     map[string]map[string]*Dims

	Any     any
	Anys    map[string]any
	Complex complex128 `json:"-"`
	Addr    netip.Addr `kixx:"index"`
	Net     *netip.Prefix
	Big     big.Int
	Bigs    []*big.Int
	URL     url.URL
	Null    sql.NullInt64
	Inline  struct {
		A int
		B []string
	}
	Set     map[string]struct{}
	PtrPtr  **int
	PtrList *[]int
	PtrMap  *map[string]int8
	PtrAny  *any
	ByAddr  map[netip.Addr][]int
	ByTime  map[time.Time]bool `json:"-"`
	ByUUID  map[UUID]string

	Skipped string `kixx:"-" json:"-"`
	hidden  int    `kixx:"-"`
}

// Hooked has every hook.
//
//kixx:entity
type Hooked struct {
	ID    string   `kixx:"key,auto"`
	Rev   kixx.Rev `kixx:"rev"`
	Name  string
	Steps []string
}

// errNo is what the hooks of Hooked answer.
var errNo = errors.New("no")

type callsKey struct{}

// WithCalls returns a context in which the hooks of Hooked tell what they do.
func WithCalls(ctx context.Context, calls *[]string) context.Context {
	return context.WithValue(ctx, callsKey{}, calls)
}

func call(ctx context.Context, format string, args ...any) {
	if calls, ok := ctx.Value(callsKey{}).(*[]string); ok {
		*calls = append(*calls, fmt.Sprintf(format, args...))
	}
}

// BeforeSet adds a step.
func (h *Hooked) BeforeSet(ctx context.Context) error {
	call(ctx, "before %s", h.Name)
	h.Steps = append(h.Steps, "before")
	if h.Name == "refused by BeforeSet" {
		return errNo
	}
	return nil
}

// Validate refuses some names.
func (h *Hooked) Validate() error {
	if h.Name == "refused by Validate" {
		return errNo
	}
	return nil
}

// AfterSet changes its copy, and panics for some names.
func (h *Hooked) AfterSet(ctx context.Context) {
	call(ctx, "after %s", h.Name)
	if h.Name == "panics in AfterSet" {
		panic("after")
	}
	h.Name = "changed by AfterSet"
}

// BeforeDelete refuses some names.
func (h *Hooked) BeforeDelete(ctx context.Context) error {
	call(ctx, "delete %s", h.Name)
	if h.Name == "kept" {
		return errNo
	}
	return nil
}

// List is a list of numbers, for histories of transactions.
//
//kixx:entity
type List struct {
	ID     string   `kixx:"key"`
	Rev    kixx.Rev `kixx:"rev"`
	Group  string   `kixx:"index"`
	Values []int64
}
