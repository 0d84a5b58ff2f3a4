package kinds

import (
	"encoding/json"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Home is merged field by field, unless a tag says otherwise.
type Home struct {
	Street, City string
	Floor        *int
	Visits       int `kixx:"merge=sum"`
	Next         *Home
	Rooms        []Spot
}

// Spot is compared as one value.
type Spot struct {
	X, Y float64
	At   time.Time
}

// Cell can be an element of a union.
type Cell struct {
	Row, Col int
	Name     [2]string
}

// Line carries its own unknown fields.
type Line struct {
	kixx.Unknown
	SKU string
	N   int
}

// Account has fields of every type, without a policy for merges and with every one that makes sense for it.
//
//kixx:entity
type Account struct {
	ID        string    `kixx:"key"`
	Rev       kixx.Rev  `kixx:"rev"`
	CreatedAt time.Time `kixx:"created"`
	UpdatedAt time.Time `kixx:"updated"`
	Base

	Flag    bool
	Num     int
	Small   int8
	Big     uint64
	Ratio   float64
	Ratio32 float32
	Name    string `validate:"ne=invalid"`
	Rank    Rank
	UUID    UUID
	When    time.Time
	Bytes   []byte
	Blob    Blob
	Raw     json.RawMessage
	PtrNum  *int
	PtrTime *time.Time
	PtrUUID *UUID
	PtrArr  *[2]string
	List    []string
	Ranks   []Rank
	Times   []time.Time
	Floats  []float64
	Structs []Spot
	Ptrs    []*Spot
	Grid    [][]int
	Array   [3]int
	Arrays  [2][]string
	Map     map[string]int
	ByRank  map[Rank]Spot
	Deep    map[string]map[string]*Spot
	Bools   map[bool][]time.Time `json:"-"`
	Lines   []Line
	Line    Line
	Home    Home
	Away    *Home

	Ours       string            `kixx:"merge=ours"`
	OurHome    Home              `kixx:"merge=ours"`
	OurTimes   []time.Time       `kixx:"merge=ours"`
	Theirs     bool              `kixx:"merge=theirs"`
	TheirHome  *Home             `kixx:"merge=theirs"`
	TheirMap   map[string]int    `kixx:"merge=theirs"`
	MaxNum     int               `kixx:"merge=max"`
	MaxRatio   float64           `kixx:"merge=max"`
	MaxTime    time.Time         `kixx:"merge=max"`
	MaxPtr     *int              `kixx:"merge=max"`
	MaxPtrTime *time.Time        `kixx:"merge=max"`
	MinBig     uint64            `kixx:"merge=min"`
	MinName    Channel           `kixx:"merge=min"`
	MinTime    time.Time         `kixx:"merge=min"`
	MinPtrText *string           `kixx:"merge=min"`
	MinPtrTime *time.Time        `kixx:"merge=min"`
	SumInt     int               `kixx:"merge=sum"`
	SumInt8    int8              `kixx:"merge=sum"`
	SumUint8   uint8             `kixx:"merge=sum"`
	SumUint64  uint64            `kixx:"merge=sum"`
	SumRatio   float64           `kixx:"merge=sum"`
	SumRatio32 float32           `kixx:"merge=sum"`
	SumTook    time.Duration     `kixx:"merge=sum"`
	Union      []string          `kixx:"merge=union"`
	UnionRanks []Rank            `kixx:"merge=union"`
	UnionUUIDs []UUID            `kixx:"merge=union"`
	UnionCells []Cell            `kixx:"merge=union"`
	UnionMap   map[string]int    `kixx:"merge=union"`
	UnionDeep  map[Rank][]string `kixx:"merge=union"`
	UnionHomes map[string]*Home  `kixx:"merge=union"`
}
