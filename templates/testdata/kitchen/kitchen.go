// Package kitchen declares documents with every kind of field, for the test of package templates that compiles and runs
// what is generated for them.
package kitchen

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/templates/testdata/kitchen/geo"
)

type (
	ID     string
	Status string
	Level  int8
	Count  uint16
	Ratio  float32
	Flag   bool
	Hash   []byte
	Labels []string
	Sizes  map[Status]int32
	Grid   [2][3]int
	Since  time.Duration
	UUID   [16]byte
)

// Dims is copied by an assignment.
type Dims struct{ W, H float64 }

// Box is not, and has fields that are not stored.
type Box struct {
	Dims     Dims `json:"dims"`
	Marks    []string
	SealedAt time.Time
	Grids    [2][]int

	note string
}

// Crate holds no field that is not stored.
type Crate struct {
	Box  Box
	Lids []Dims
	Arr  [2][]string
}

// Line carries its unknown fields, wherever it is.
type Line struct {
	kixx.Unknown
	SKU string
	N   int
}

// Parcel does so too, and has a field that is not stored.
type Parcel struct {
	kixx.Unknown
	Label  string
	weight int
}

// Node contains itself in every way that is possible.
type Node struct {
	Name string
	Next *Node
	Kids []Node
	By   map[string]*Node
	At   time.Time
	Pair [2]*Node
}

// Everything has every kind of field.
type Everything struct {
	ID  ID
	Rev kixx.Rev
	geo.Base

	B    bool
	Flag Flag
	I    int
	I8   int8
	I16  int16
	I32  int32
	I64  int64
	Lvl  Level
	U    uint
	U8   uint8
	U16  uint16
	U32  uint32
	U64  uint64
	Cnt  Count
	F32  float32
	F64  float64
	Rat  Ratio
	S    string
	Stat Status
	Zone geo.Zone
	Raw  json.RawMessage
	Data []byte
	Hash Hash
	T    time.Time
	D    time.Duration
	Sin  Since
	ID16 UUID
	Hex  [16]byte

	PB *bool
	PI *int32
	PS *Status
	PT *time.Time
	PD *Dims
	PX *Box
	PA *[2]time.Time
	PG *geo.Point
	PU *UUID

	Strs    []string
	Lbls    Labels
	Ints    []Level
	Times   []time.Time
	Durs    []time.Duration
	Blobs   [][]byte
	Raws    []json.RawMessage
	Ptrs    []*float64
	PTimes  []*time.Time
	Dimses  []Dims
	Boxes   []Box
	PBoxes  []*Box
	Lines   []Line
	Parcels []Parcel
	Pts     []geo.Point
	Deep    [][][]int
	UUIDs   []UUID
	Maps    []map[string]string
	Arrs    [][2]string
	ABoxes  [][2]Box
	Bytes3  [3][]byte

	Arr  [4]int
	Grid Grid
	ATim [2]time.Time
	ADim [2]Dims
	ABox [2]Box
	APtr [2]*int

	MSS  map[string]string
	MSI  Sizes
	MIS  map[int64]string
	MUS  map[Count]Status
	MBS  map[bool]string
	MST  map[string]time.Time
	MSD  map[string]Dims
	MSX  map[string]Box
	MSP  map[string]*Box
	MSL  map[string][]string
	MSM  map[string]map[string]time.Time
	MSLi map[string]Line
	MSA  map[string][2]time.Time

	Dims  Dims
	Box   Box
	Crate Crate
	Line  Line
	Point geo.Point
	Pair  geo.Pair[string, []int]
	Node  Node
	PNode *Node
	Empty struct0

	CreatedAt time.Time
	UpdatedAt time.Time

	hidden int
	Left   string `kixx:"-"`
}

type struct0 struct{}

// Hooks of Everything.
func (e *Everything) BeforeSet(context.Context) error    { e.hidden++; return nil }
func (e *Everything) AfterSet(context.Context)           {}
func (e *Everything) BeforeDelete(context.Context) error { return nil }
func (e *Everything) Validate() error {
	if e.S == "bad" {
		return errors.New("field S is bad")
	}
	return nil
}

func emitText(e *Everything, emit kixx.Emit[Status, Box])            { emit(e.Stat, e.Box) }
func emitInt(e *Everything, emit kixx.Emit[int32, string])           { emit(e.I32, e.S) }
func emitTime(e *Everything, emit kixx.Emit[time.Time, []Dims])      { emit(e.T, e.Dimses) }
func emitFloat(e *Everything, emit kixx.Emit[float64, *Status])      { emit(e.F64, e.PS) }
func emitBool(e *Everything, emit kixx.Emit[bool, Sizes])            { emit(e.B, e.MSI) }
func emitBytes(e *Everything, emit kixx.Emit[[]byte, [2]Box])        { emit(e.Data, e.ABox) }
func emitDur(e *Everything, emit kixx.Emit[time.Duration, Node])     { emit(e.D, e.Node) }
func emitUint(e *Everything, emit kixx.Emit[Count, time.Time])       { emit(e.Cnt, e.T) }
func emitPoint(e *Everything, emit kixx.Emit[string, geo.Point])     { emit(e.S, e.Point) }
func emitLines(e *Everything, emit kixx.Emit[string, []Line])        { emit(e.S, e.Lines) }
func emitNodes(e *Everything, emit kixx.Emit[string, []*Node])       { emit(e.S, nil) }
func emitArray(e *Everything, emit kixx.Emit[string, Grid])          { emit(e.S, e.Grid) }
func emitRaw(e *Everything, emit kixx.Emit[string, json.RawMessage]) { emit(e.S, e.Raw) }

// Counter has an integer as its key.
type Counter struct {
	N   int64
	Rev kixx.Rev
	Of  string
}

// Tick has an unsigned integer of another name as its key, and a document variable that is a local elsewhere.
type Tick struct {
	Cnt Count
	Rev kixx.Rev
	Box *Box
}

// Slot has a key of several fields, some of them in an embedded struct, and policies for merges.
type Slot struct {
	Stat Status
	At   time.Time
	geo.Base
	ID16  UUID
	Rev   kixx.Rev
	N     int64
	Marks []string
	Box   *Box
	Sizes Sizes
	Dims  Dims
	Seen  *time.Time
	Least *Count
}

func emitSlot(s *Slot, emit kixx.Emit[UUID, Dims]) { emit(s.ID16, s.Dims) }

// Narrow is an older program's Wide.
type Narrow struct {
	ID    string
	Rev   kixx.Rev
	A     string
	In    NarrowIn
	P     *NarrowIn
	Lines []Line
	Mid   NarrowMid
}

type NarrowMid struct {
	In NarrowIn
}

type NarrowIn struct {
	X int
}

// Wide has more fields, at each level.
type Wide struct {
	ID    string
	Rev   kixx.Rev
	A     string
	B     []string
	In    WideIn
	P     *WideIn
	Lines []WideLine
	Mid   WideMid
	C     map[string]int
}

type WideMid struct {
	Q  bool
	In WideIn
}

type WideIn struct {
	W []int
	X int
	Y string
}

type WideLine struct {
	SKU  string
	N    int
	Note string
}

func counterToV1(f *kixx.Fields) error {
	f.Set("of", "one")
	return nil
}

func counterToV2(*kixx.Fields) error { return nil }
