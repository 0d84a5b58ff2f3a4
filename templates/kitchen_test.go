package templates

import "strings"

const (
	kitchenPath = "github.com/kixxgen/kixxgen/templates/testdata/kitchen"
	geoPath     = kitchenPath + "/geo"
	clashPath   = "github.com/kixxgen/kixxgen/templates/testdata/clash"
)

// inventoryPackage is the package of the README: one entity as an application would have it.
func inventoryPackage() *Package {
	status := named("Status", tString)
	dims := structOf("Dims", "Dims")
	dims.Struct.add("W", "", tFloat)
	dims.Struct.add("H", "", tFloat)
	dims.Struct.literal("W", "float64")
	dims.Struct.literal("H", "float64")
	line := structOf("PriceLine", "PriceLine")
	line.Struct.add("Title", "", tString)
	line.Struct.add("Price", "", tFloat)
	line.Struct.add("At", "", ptrTo(tTime)) // needs no function that copies it, since it is in no document

	item := structOf("Item", "Item")
	e := entityOf("Item", "it", "items", item)
	s := item.Struct
	e.keyed("key,auto", s.add("ID", "id", tString))
	s.add("Title", "title", tString)
	sku := s.add("SKU", "sku", tString)
	category := s.add("Category", "category", tString)
	price := s.add("Price", "price", tFloat)
	tags := s.add("Tags", "tags", sliceOf(tString))
	s.add("Dims", "dims", dims)
	s.add("Box", "box", ptrTo(dims))
	s.add("Parts", "parts", mapOf(tString, dims))
	s.add("Status", "status", status)
	sold := s.add("SoldAt", "soldAt", ptrTo(tTime))
	e.Created = s.add("CreatedAt", "createdAt", tTime)
	e.Created.Options = "created"
	e.Updated = s.add("UpdatedAt", "updatedAt", tTime)
	e.Updated.Options = "updated"
	s.Partial = true
	for _, f := range strings.Split("ID string,Rev `"+kixxPath+".Rev`,Title string,SKU string,Category string,Price float64,Tags []string,Dims Dims,"+
		"Box *Dims,Parts map[string]Dims,Status Status,SoldAt *`time.Time`,CreatedAt `time.Time`,UpdatedAt `time.Time`,cache int", ",") {
		name, typ, _ := strings.Cut(f, " ")
		s.literal(name, typ)
	}
	e.index("SKU", true, on(sku, "sku", ""))
	e.index("Category", false, on(category, "category", ""))
	e.index("Price", false, on(price, "price", ""))
	e.index("Tags", false, on(tags, "tag", ""))
	e.index("SoldAt", false, on(sold, "soldAt", "desc"))
	e.index("CreatedAt", false, on(e.Created, "createdAt", "desc"))
	e.index("CategoryPrice", false, on(category, "category", ""), on(price, "price", "desc"))
	e.view("ByPriceRange", "emitPriceRange", tString, line)
	e.Hooks = Hooks{BeforeSet: true, Validate: true}
	e.Tagged = true
	e.TestFile = "item_kixx_test.go"
	return &Package{Path: "example.com/shop/inventory", Name: "inventory", Entities: []*Entity{e}, Names: standardNames(nil)}
}

// kitchenPackage is the model of testdata/kitchen: every kind of field, key, index and view.
func kitchenPackage() *Package {
	status := named("Status", tString)
	level := named("Level", tSigned(8))
	count := named("Count", tUnsigned(16))
	hash := named("Hash", tBytes)
	sizes := named("Sizes", mapOf(status, tSigned(32)))
	grid := named("Grid", arrayOf(2, arrayOf(3, tInt)))
	uuid := named("UUID", tUUID)

	dims := structOf("Dims", "Dims")
	dims.Struct.add("W", "", tFloat)
	dims.Struct.add("H", "", tFloat)
	dims.Struct.literal("W", "float64")
	dims.Struct.literal("H", "float64")

	box := structOf("Box", "Box")
	box.Struct.add("Dims", "dims", dims)
	box.Struct.add("Marks", "", sliceOf(tString))
	box.Struct.add("SealedAt", "", tTime)
	box.Struct.add("Grids", "", arrayOf(2, sliceOf(tInt)))
	box.Struct.Partial = true
	box.Struct.literal("Dims", "Dims")
	box.Struct.literal("Marks", "[]string")
	box.Struct.literal("SealedAt", "`time.Time`")
	box.Struct.literal("Grids", "[2][]int")
	box.Struct.literal("note", "string")

	crate := structOf("Crate", "Crate")
	crate.Struct.add("Box", "", box)
	crate.Struct.add("Lids", "", sliceOf(dims))
	crate.Struct.add("Arr", "", arrayOf(2, sliceOf(tString)))

	line := structOf("Line", "Line")
	line.Struct.Carries = true
	line.Struct.add("SKU", "", tString)
	line.Struct.add("N", "", tInt)
	line.Struct.literal("", "`"+kixxPath+".Unknown`")
	line.Struct.literal("SKU", "string")
	line.Struct.literal("N", "int")

	parcel := structOf("Parcel", "Parcel")
	parcel.Struct.Carries, parcel.Struct.Partial = true, true
	parcel.Struct.add("Label", "", tString)
	parcel.Struct.literal("", "`"+kixxPath+".Unknown`")
	parcel.Struct.literal("Label", "string")
	parcel.Struct.literal("weight", "int")

	node := structOf("Node", "Node")
	node.Struct.add("Name", "", tString)
	node.Struct.add("Next", "", ptrTo(node))
	node.Struct.add("Kids", "", sliceOf(node))
	node.Struct.add("By", "", mapOf(tString, ptrTo(node)))
	node.Struct.add("At", "", tTime)
	node.Struct.add("Pair", "", arrayOf(2, ptrTo(node)))

	point := structOf(geoPath+".Point", "GeoPoint")
	point.Struct.add("X", "", tFloat)
	point.Struct.add("Y", "", tFloat)
	point.Struct.add("Tags", "", sliceOf(tString))
	point.Struct.Partial = true

	pair := structOf(geoPath+".Pair", "GeoPairStringInts")
	pair.Name.Args = []*GoType{{Full: "string", Parts: []Name{{Name: "string"}}}, {Full: "[]int", Parts: []Name{{Name: "[]int"}}}}
	pair.Struct.add("First", "", tString)
	pair.Struct.add("Second", "", sliceOf(tInt))
	pair.Struct.literal("First", "string")
	pair.Struct.literal("Second", "[]int")

	empty := structOf("struct0", "Struct0")
	empty.Struct.Literal = []LiteralField{}

	every := structOf("Everything", "Everything")
	e := entityOf("Everything", "doc", "everythings", every)
	s := every.Struct
	s.Partial = true
	e.keyed("key,auto", s.add("ID", "id", named("ID", tString)))
	origin := s.add("Base.Origin", "origin", tString)
	s.add("Base.Weights", "", sliceOf(tFloat))
	add := func(name string, t *Type) *Field { return s.add(name, "", t) }
	fields := map[string]*Field{}
	for _, f := range []struct {
		name string
		t    *Type
	}{
		{"B", tBool}, {"Flag", named("Flag", tBool)}, {"I", tInt}, {"I8", tSigned(8)}, {"I16", tSigned(16)}, {"I32", tSigned(32)},
		{"I64", tSigned(64)}, {"Lvl", level}, {"U", &Type{Kind: Uint}}, {"U8", tUnsigned(8)}, {"U16", tUnsigned(16)},
		{"U32", tUnsigned(32)}, {"U64", tUnsigned(64)}, {"Cnt", count}, {"F32", &Type{Kind: Float, Bits: 32}}, {"F64", tFloat},
		{"Rat", named("Ratio", &Type{Kind: Float, Bits: 32})}, {"S", tString}, {"Stat", status}, {"Zone", named(geoPath+".Zone", tString)},
		{"Raw", tRaw}, {"Data", tBytes}, {"Hash", hash}, {"T", tTime}, {"D", tDur}, {"Sin", named("Since", tSigned(64))}, {"ID16", uuid}, {"Hex", tUUID},
		{"PB", ptrTo(tBool)}, {"PI", ptrTo(tSigned(32))}, {"PS", ptrTo(status)}, {"PT", ptrTo(tTime)}, {"PD", ptrTo(dims)},
		{"PX", ptrTo(box)}, {"PA", ptrTo(arrayOf(2, tTime))}, {"PG", ptrTo(point)}, {"PU", ptrTo(uuid)},
		{"Strs", sliceOf(tString)}, {"Lbls", named("Labels", sliceOf(tString))}, {"Ints", sliceOf(level)}, {"Times", sliceOf(tTime)},
		{"Durs", sliceOf(tDur)}, {"Blobs", sliceOf(tBytes)}, {"Raws", sliceOf(tRaw)}, {"Ptrs", sliceOf(ptrTo(tFloat))},
		{"PTimes", sliceOf(ptrTo(tTime))}, {"Dimses", sliceOf(dims)}, {"Boxes", sliceOf(box)}, {"PBoxes", sliceOf(ptrTo(box))},
		{"Lines", sliceOf(line)}, {"Parcels", sliceOf(parcel)}, {"Pts", sliceOf(point)}, {"Deep", sliceOf(sliceOf(sliceOf(tInt)))}, {"UUIDs", sliceOf(uuid)},
		{"Maps", sliceOf(mapOf(tString, tString))}, {"Arrs", sliceOf(arrayOf(2, tString))}, {"ABoxes", sliceOf(arrayOf(2, box))},
		{"Bytes3", arrayOf(3, tBytes)},
		{"Arr", arrayOf(4, tInt)}, {"Grid", grid}, {"ATim", arrayOf(2, tTime)}, {"ADim", arrayOf(2, dims)}, {"ABox", arrayOf(2, box)},
		{"APtr", arrayOf(2, ptrTo(tInt))},
		{"MSS", mapOf(tString, tString)}, {"MSI", sizes}, {"MIS", mapOf(tSigned(64), tString)}, {"MUS", mapOf(count, status)},
		{"MBS", mapOf(tBool, tString)}, {"MST", mapOf(tString, tTime)}, {"MSD", mapOf(tString, dims)}, {"MSX", mapOf(tString, box)},
		{"MSP", mapOf(tString, ptrTo(box))}, {"MSL", mapOf(tString, sliceOf(tString))}, {"MSM", mapOf(tString, mapOf(tString, tTime))},
		{"MSLi", mapOf(tString, line)}, {"MSA", mapOf(tString, arrayOf(2, tTime))},
		{"Dims", dims}, {"Box", box}, {"Crate", crate}, {"Line", line}, {"Point", point}, {"Pair", pair}, {"Node", node},
		{"PNode", ptrTo(node)}, {"Empty", empty},
	} {
		fields[f.name] = add(f.name, f.t)
	}
	e.Created = add("CreatedAt", tTime)
	e.Created.Options = "created"
	e.Updated = add("UpdatedAt", tTime)
	e.Updated.Options = "updated"
	f := func(name, options string) *IndexField {
		return on(fields[name], strings.ToLower(name[:1])+name[1:]+"_", options)
	}
	for _, name := range []string{"B", "Flag", "I", "I8", "Lvl", "U", "U64", "Cnt", "F32", "F64", "Rat", "S", "Stat", "Zone", "Data", "Hash", "T", "D",
		"ID16", "Hex", "PB", "PI", "PS", "PT", "PU", "UUIDs", "Strs", "Lbls", "Ints", "Times", "Durs", "Blobs", "Ptrs", "PTimes"} {
		e.index(name, false, f(name, ""))
		e.index(name+"Down", false, f(name, "desc"))
	}
	e.index("Origin", true, on(origin, "origin", ""))
	e.index("Triple", false, f("Stat", "desc"), f("Cnt", ""), f("T", "desc"))
	e.index("Mixed", false, f("Strs", ""), f("PT", "desc"), f("PI", ""))
	e.index("Tags", false, f("Stat", ""), f("Ptrs", ""))
	e.index("Twice", true, f("S", ""), f("F64", ""))
	e.view("ByText", "emitText", status, box)
	e.view("ByInt", "emitInt", tSigned(32), tString)
	e.view("ByTime", "emitTime", tTime, sliceOf(dims))
	e.view("ByFloat", "emitFloat", tFloat, ptrTo(status))
	e.view("ByBool", "emitBool", tBool, sizes)
	e.view("ByBytes", "emitBytes", tBytes, arrayOf(2, box))
	e.view("ByDur", "emitDur", tDur, node)
	e.view("ByUint", "emitUint", count, tTime)
	e.view("Points", "emitPoint", tString, point)
	e.view("ByLines", "emitLines", tString, sliceOf(line))
	e.view("ByNodes", "emitNodes", tString, sliceOf(ptrTo(node)))
	e.view("ByArray", "emitArray", tString, grid)
	e.view("ByRaw", "emitRaw", tString, tRaw)
	e.Hooks = Hooks{BeforeSet: true, Validate: true, AfterSet: true, BeforeDelete: true}

	counterStruct := structOf("Counter", "Counter")
	counter := entityOf("Counter", "c", "counters", counterStruct)
	counter.keyed("key", counterStruct.Struct.add("N", "n", tSigned(64)))
	of := counterStruct.Struct.add("Of", "of", tString)
	of.Was, of.Default = []string{"whose", "name"}, "all"
	counterStruct.Struct.Dropped = []string{"note", "color"}
	counter.Migrations = []*Migration{{Level: 1, Func: "counterToV1"}, {Level: 2, Func: "counterToV2"}}
	counterStruct.Struct.literal("N", "int64")
	counterStruct.Struct.literal("Rev", "`"+kixxPath+".Rev`")
	counterStruct.Struct.literal("Of", "string")

	tickStruct := structOf("Tick", "Tick")
	tick := entityOf("Tick", "b", "ticks", tickStruct)
	tick.keyed("key", tickStruct.Struct.add("Cnt", "", count))
	tickStruct.Struct.add("Box", "", ptrTo(box))
	tick.Tagged = true

	slotStruct := structOf("Slot", "Slot")
	slot := entityOf("Slot", "s", "slots", slotStruct)
	slot.keyed("key", slotStruct.Struct.add("Stat", "stat", status), slotStruct.Struct.add("At", "", tTime),
		slotStruct.Struct.add("Base.Origin", "", tString), slotStruct.Struct.add("ID16", "id", uuid))
	slotStruct.Struct.add("Base.Weights", "", sliceOf(tFloat)).Merge = "theirs"
	slotStruct.Struct.add("N", "", tSigned(64)).Merge = "sum"
	slotStruct.Struct.add("Marks", "", sliceOf(tString)).Merge = "union"
	slotStruct.Struct.add("Box", "", ptrTo(box))
	slotStruct.Struct.add("Sizes", "", sizes).Merge = "union"
	slotStruct.Struct.add("Dims", "", dims).Merge = "ours"
	slotStruct.Struct.add("Seen", "", ptrTo(tTime)).Merge = "max"
	slotStruct.Struct.add("Least", "", ptrTo(count)).Merge = "min"
	slot.index("Stat", true, on(slotStruct.Struct.Fields[0], "stat", ""), on(slotStruct.Struct.Fields[1], "at", "desc"))
	slot.view("BySlot", "emitSlot", uuid, dims)

	narrowIn := structOf("NarrowIn", "NarrowIn")
	narrowIn.Struct.add("X", "", tInt)
	narrowMid := structOf("NarrowMid", "NarrowMid")
	narrowMid.Struct.add("In", "", narrowIn)
	narrowStruct := structOf("Narrow", "Narrow")
	narrow := entityOf("Narrow", "n", "narrows", narrowStruct)
	narrow.keyed("", narrowStruct.Struct.add("ID", "", tString))
	narrowStruct.Struct.add("A", "", tString)
	narrowStruct.Struct.add("In", "", narrowIn)
	narrowStruct.Struct.add("P", "", ptrTo(narrowIn))
	narrowStruct.Struct.add("Lines", "", sliceOf(line))
	narrowStruct.Struct.add("Mid", "", narrowMid)

	wideIn := structOf("WideIn", "WideIn")
	wideIn.Struct.add("W", "", sliceOf(tInt))
	wideIn.Struct.add("X", "", tInt)
	wideIn.Struct.add("Y", "", tString)
	wideMid := structOf("WideMid", "WideMid")
	wideMid.Struct.add("Q", "", tBool)
	wideMid.Struct.add("In", "", wideIn)
	wideLine := structOf("WideLine", "WideLine")
	wideLine.Struct.add("SKU", "", tString)
	wideLine.Struct.add("N", "", tInt)
	wideLine.Struct.add("Note", "", tString)
	wideStruct := structOf("Wide", "Wide")
	wide := entityOf("Wide", "w", "wides", wideStruct)
	wide.keyed("", wideStruct.Struct.add("ID", "", tString))
	wideStruct.Struct.add("A", "", tString)
	wideStruct.Struct.add("B", "", sliceOf(tString))
	wideStruct.Struct.add("In", "", wideIn)
	wideStruct.Struct.add("P", "", ptrTo(wideIn))
	wideStruct.Struct.add("Lines", "", sliceOf(wideLine))
	wideStruct.Struct.add("Mid", "", wideMid)
	wideStruct.Struct.add("C", "", mapOf(tString, tInt))

	return &Package{
		Path: kitchenPath, Name: "kitchen", Entities: []*Entity{counter, e, narrow, slot, tick, wide},
		Names: standardNames(map[string]string{geoPath: "geo"}),
	}
}

// clashPackage is the model of testdata/clash: types with the names that generated code would like to use.
func clashPackage() *Package {
	value := structOf("value", "value")
	value.Struct.add("B", "", named("b", tString))
	in := structOf("i", "i")
	for _, name := range []string{"E", "V", "K"} {
		in.Struct.add(name, "", tInt)
	}
	deep := structOf("depth", "depth")
	deep.Struct.add("More", "", sliceOf(deep))
	vv := structOf(clashPath+"/v.V", "VV")
	vv.Struct.add("V", "", sliceOf(tInt))

	it := structOf("It", "It")
	e := entityOf("It", "it", "its", it)
	s := it.Struct
	e.keyed("", s.add("ID", "", named("id", tString)))
	e.Auto = true
	s.add("B", "", named("b", tString))
	s.add("U", "", named("u", tInt))
	s.add("N", "", named("name", sliceOf(tString)))
	errField := s.add("Err", "", named("err", tSigned(64)))
	s.add("C", "", named("c", mapOf(tString, tString)))
	xs := s.add("X", "", sliceOf(named("x2", tFloat)))
	s.add("XX", "", sliceOf(sliceOf(named("x2", tFloat))))
	s.add("I", "", sliceOf(in))
	s.add("K", "", mapOf(named("k", tBool), named("e", tString)))
	s.add("Key", "", named("key", tString))
	s.add("Dst", "", named("dst", tInt))
	s.add("Src", "", named("src", tSigned(8)))
	s.add("Gen", "", named("gen", tString))
	s.add("T", "", sliceOf(tTime))
	s.add("V", "", vv)
	s.add("D", "", deep)
	itField := s.add("It", "", tString)
	eField := s.add("E", "", tString)
	s.add("R", "", named("tuple", tString))
	s.add("Ent", "", named("entry", tString))
	s.add("Doc", "", named("doc", tString))
	e.index("It", false, on(itField, "it", ""), on(errField, "err", ""))
	e.index("E", false, on(eField, "e", ""), on(xs, "x", ""))
	e.view("ByTuple", "emitIt", named("tuple", tString), value)
	return &Package{
		Path: clashPath, Name: "clash", Entities: []*Entity{e},
		Names:   standardNames(map[string]string{clashPath + "/v": "v"}),
		Aliases: map[string]string{genPath: "kixxgen"},
	}
}
