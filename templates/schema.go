package templates

import "github.com/dave/jennifer/jen"

// emitSchema emits
//
//	var itemSchema = &kixx.Schema[*Item, string]{
//		Name: "item",
//		Fields: []kixx.Field{
//			{Name: "id", Type: "string", Options: "key,auto"},
//			{Name: "title", Type: "string", Was: []string{"name"}},
//			{Name: "size", Type: "int", Default: "1"},
//			{Name: "note", Type: "drop"},
//		},
//		Indexes:   []*kixx.Index{itemBySKU, &itemByPriceRange.Index},
//		Migrate:   []kixx.Migration{{Level: 1, Func: itemToV1}},
//		Tagged:    true,
//		New:       func() *Item { return new(Item) },
//		Key:       func(it *Item) string { return it.ID },
//		SetKey:    func(it *Item, key string) { it.ID = key },
//		NewKey:    func(id string) string { return id },
//		AppendKey: ordered.AppendString[string],
//		ReadKey:   ordered.ReadString[string],
//		Meta: func(it *Item) kixx.Meta {
//			return kixx.Meta{Rev: &it.Rev, Created: &it.CreatedAt, Updated: &it.UpdatedAt}
//		},
//		Append:    appendItem,
//		Read:      readItem,
//		Clone:     cloneItem,
//		Canon:     canonItem,
//		Index:     indexItem,
//		BeforeSet: (*Item).BeforeSet,
//	}
func (w *writer) emitSchema() {
	e, l := w.e, &w.locals
	key := w.keyType()
	it := func() *jen.Statement { return jen.Id(e.Var).Add(w.document()) }

	var fields, indexes, migrations []jen.Code
	for _, f := range e.Struct.Fields {
		line := []jen.Code{entry("Name", jen.Lit(f.Stored)), entry("Type", jen.Lit(f.Lines))}
		if f.Options != "" {
			line = append(line, entry("Options", jen.Lit(f.Options)))
		}
		if len(f.Was) > 0 {
			var names []jen.Code
			for _, was := range f.Was {
				names = append(names, jen.Lit(was))
			}
			line = append(line, entry("Was", jen.Index().String().Values(names...)))
		}
		if f.Default != "" {
			line = append(line, entry("Default", jen.Lit(f.Default)))
		}
		fields = append(fields, jen.Values(line...))
	}
	for _, name := range e.Struct.Dropped {
		fields = append(fields, jen.Values(entry("Name", jen.Lit(name)), entry("Type", jen.Lit("drop"))))
	}
	for _, m := range e.Migrations {
		migrations = append(migrations, jen.Values(entry("Level", jen.Lit(m.Level)), entry("Func", jen.Id(m.Func))))
	}
	for _, ix := range e.Indexes {
		indexes = append(indexes, jen.Id(ix.Var))
	}
	for _, v := range e.Views {
		indexes = append(indexes, jen.Op("&").Id(v.Var).Dot("Index"))
	}

	values := []jen.Code{
		entry("Name", jen.Lit(e.Collection)),
		entry("Fields", jen.Index().Qual(kixxPath, "Field").Add(list(fields...))),
	}
	add := func(name string, value jen.Code) { values = append(values, entry(name, value)) }
	if len(indexes) > 0 {
		add("Indexes", jen.Index().Op("*").Qual(kixxPath, "Index").Values(indexes...))
	}
	if len(migrations) > 0 {
		add("Migrate", jen.Index().Qual(kixxPath, "Migration").Add(list(migrations...)))
	}
	if e.Tagged {
		add("Tagged", jen.True())
	}
	if w.facts[e.Struct].partial {
		add("Partial", jen.True())
	}
	add("New", jen.Func().Params().Add(w.document()).Add(inLine(jen.Return(jen.New(jen.Id(e.Name))))))
	add("Key", jen.Func().Params(it()).Add(key.Clone()).Add(inLine(jen.Return(w.keyValue()))))
	add("SetKey", jen.Func().Params(it(), jen.Id(l.key).Add(key.Clone())).Add(inLine(w.setKey())))
	if e.Auto {
		add("NewKey", w.newKey())
	}
	if canon := w.canonKey(); canon != nil {
		add("CanonKey", canon)
	}
	add("AppendKey", w.appendWholeKey())
	add("ReadKey", w.readWholeKey())
	add("Meta", jen.Func().Params(it()).Qual(kixxPath, "Meta").Block(jen.Return(w.meta())))
	add("Append", jen.Id("append"+e.Struct.Func))
	add("Read", jen.Id("read"+e.Struct.Func))
	add("Clone", jen.Id("clone"+e.Struct.Func))
	if w.facts[e.Struct].canon {
		add("Canon", jen.Id("canon"+e.Struct.Func))
	}
	add("Index", jen.Id(w.entriesFunc()))
	for _, h := range w.hooks() {
		add(h.method, jen.Parens(w.document()).Dot(h.method))
	}
	w.Var().Id(w.schemaVar()).Op("=").Op("&").Qual(kixxPath, "Schema").Types(w.document(), key.Clone()).Add(list(values...))
}

// meta returns the literal that points to the fields which the runtime sets.
func (w *writer) meta() *jen.Statement {
	e := w.e
	values := []jen.Code{entry("Rev", jen.Op("&").Add(sel(e.Var, e.Rev)))}
	if e.Created != nil {
		values = append(values, entry("Created", jen.Op("&").Add(sel(e.Var, e.Created))))
	}
	if e.Updated != nil {
		values = append(values, entry("Updated", jen.Op("&").Add(sel(e.Var, e.Updated))))
	}
	if e.Deleted != nil {
		values = append(values, entry("Deleted", jen.Op("&").Add(sel(e.Var, e.Deleted))))
	}
	return jen.Qual(kixxPath, "Meta").Values(values...)
}
