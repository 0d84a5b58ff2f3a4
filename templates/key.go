package templates

import "github.com/dave/jennifer/jen"

// emitKey emits, for a key of several fields,
//
//	// PostKey is the key of a Post: its Tenant and Slug.
//	type PostKey struct {
//		Tenant string `json:"tenant"`
//		Slug   string `json:"slug"`
//	}
//
//	// Key returns the key of p.
//	func (p *Post) Key() PostKey {
//		return PostKey{Tenant: p.Tenant, Slug: p.Slug}
//	}
func (w *writer) emitKey() {
	e := w.e
	if e.KeyType == "" {
		return
	}
	var fields []jen.Code
	for _, f := range e.Keys {
		field := jen.Id(f.Field.GoName()).Add(w.typ(f.Key))
		if f.Field.Stored != f.Field.GoName() {
			field.Tag(map[string]string{"json": f.Field.Stored})
		}
		fields = append(fields, field)
	}
	w.doc("%s is the key of %s %s: its %s.", e.KeyType, article(e.Name), e.Name, w.keyNames())
	w.Type().Id(e.KeyType).Struct(fields...)
	w.doc("Key returns the key of %s.", e.Var)
	w.Func().Params(jen.Id(e.Var).Add(w.document())).Id("Key").Params().Id(e.KeyType).Block(jen.Return(w.keyValue()))
}

// emitKeyCodec emits, for a key of several fields,
//
//	// appendPostKey appends key as it is encoded: its fields one after the other.
//	func appendPostKey(b []byte, key PostKey) []byte {
//		b = ordered.AppendString(b, key.Tenant)
//		return ordered.AppendString(b, key.Slug)
//	}
//
//	// readPostKey reads a key from the beginning of b and returns it with what comes after it.
//	func readPostKey(b []byte) (key PostKey, rest []byte, err error) {
//		if key.Tenant, b, err = ordered.ReadString[string](b); err != nil {
//			return key, nil, err
//		}
//		key.Slug, rest, err = ordered.ReadString[string](b)
//		return key, rest, err
//	}
func (w *writer) emitKeyCodec() {
	e, l := w.e, &w.locals
	if e.KeyType == "" {
		return
	}
	b, key, rest, err := jen.Id(l.bytes), jen.Id(l.key), jen.Id(l.rest), jen.Id(l.err)
	field := func(f *IndexField) *jen.Statement { return key.Clone().Dot(f.Field.GoName()) }
	last := len(e.Keys) - 1
	var appending, reading []jen.Code
	for i, f := range e.Keys {
		appended := w.appendKey(b.Clone(), f.Key, false, field(f))
		read := w.readKeyFunc(f.Key).Call(b.Clone())
		if i == last {
			appending = append(appending, jen.Return(appended))
			reading = append(reading,
				jen.List(field(f), rest.Clone(), err.Clone()).Op("=").Add(read),
				jen.Return(key.Clone(), rest.Clone(), err.Clone()))
			continue
		}
		appending = append(appending, b.Clone().Op("=").Add(appended))
		reading = append(reading, jen.If(jen.List(field(f), b.Clone(), err.Clone()).Op("=").Add(read), err.Clone().Op("!=").Nil()).
			Block(jen.Return(key.Clone(), jen.Nil(), err.Clone())))
	}
	w.doc("append%s appends %s as it is encoded: its fields one after the other.", e.KeyType, l.key)
	w.Func().Id("append"+e.KeyType).Params(b.Clone().Index().Byte(), key.Clone().Id(e.KeyType)).Index().Byte().Block(appending...)
	w.doc("read%s reads %s from the beginning of %s and returns it with what comes after it.", e.KeyType, l.key, l.bytes)
	w.Func().Id("read"+e.KeyType).Params(b.Clone().Index().Byte()).
		Params(key.Clone().Id(e.KeyType), rest.Clone().Index().Byte(), err.Clone().Error()).Block(reading...)
}

// keyType returns the type of the key: string, or PostKey.
func (w *writer) keyType() *jen.Statement {
	if w.e.KeyType != "" {
		return jen.Id(w.e.KeyType)
	}
	return w.typ(w.e.Keys[0].Key)
}

// keyNames returns the names of the key's fields as words in a sentence: "Tenant and Slug".
func (w *writer) keyNames() string {
	var names []string
	for _, f := range w.e.Keys {
		names = append(names, f.Field.GoName())
	}
	return join(names)
}

// keysWord returns what the keys of several documents are called: IDs, or keys if they are of several fields.
func (w *writer) keysWord() string {
	if w.e.KeyType != "" {
		return "keys"
	}
	return plural(w.e.Keys[0].Field.GoName())
}

// keyValue returns the key of the document: it.ID, or a literal. Times are as they are read back, so that keys are equal
// if they are encoded in the same way.
func (w *writer) keyValue() *jen.Statement {
	e := w.e
	part := func(f *IndexField) *jen.Statement {
		x := sel(e.Var, f.Field)
		if f.Key.Kind == Time {
			return jen.Qual(genPath, "CanonTime").Call(x)
		}
		return x
	}
	if e.KeyType == "" {
		return part(e.Keys[0])
	}
	var values []jen.Code
	for _, f := range e.Keys {
		values = append(values, entry(f.Field.GoName(), part(f)))
	}
	return jen.Id(e.KeyType).Values(values...)
}

// setKey returns the statement that sets the key of the document.
func (w *writer) setKey() *jen.Statement {
	e, key := w.e, jen.Id(w.locals.key)
	if e.KeyType == "" {
		return sel(e.Var, e.Keys[0].Field).Op("=").Add(key)
	}
	var to, from []jen.Code
	for _, f := range e.Keys {
		to = append(to, sel(e.Var, f.Field))
		from = append(from, key.Clone().Dot(f.Field.GoName()))
	}
	return jen.List(to...).Op("=").List(from...)
}

// canonKey returns a function that makes a key canonical and refuses one that is out of range, or nil if every key is
// what it will be when it is read back:
//
//	func(key PostKey) (PostKey, error) {
//		err := gen.CanonKeyTime(&key.At, "At")
//		return key, err
//	}
func (w *writer) canonKey() *jen.Statement {
	e, l := w.e, &w.locals
	key, err := jen.Id(l.key), jen.Id(l.err)
	var parts []jen.Code
	for _, f := range e.Keys {
		name := map[Kind]string{Time: "CanonKeyTime", Text: "CanonKeyText"}[f.Key.Kind]
		if name != "" {
			x := jen.Op("&").Add(key.Clone())
			if e.KeyType != "" {
				x.Dot(f.Field.GoName())
			}
			parts = append(parts, jen.Qual(genPath, name).Call(x, jen.Lit(f.Field.GoName())))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	var body []jen.Code
	for _, canon := range parts[:len(parts)-1] {
		body = append(body, jen.If(err.Clone().Op(":=").Add(canon), err.Clone().Op("!=").Nil()).Block(jen.Return(key.Clone(), err.Clone())))
	}
	body = append(body, err.Clone().Op(":=").Add(parts[len(parts)-1]), jen.Return(key.Clone(), err.Clone()))
	return jen.Func().Params(key.Clone().Add(w.keyType())).Params(w.keyType(), jen.Error()).Block(body...)
}

// newKey returns the function that makes a key of the text of a UUID.
func (w *writer) newKey() *jen.Statement {
	t, l := w.e.Keys[0].Key, &w.locals
	if t.Kind == UUID {
		return jen.Qual(genPath, "ParseUUID").Types(w.typ(t))
	}
	made := jen.Id(l.id)
	if t.Name != nil {
		made = w.typ(t).Parens(made)
	}
	return jen.Func().Params(jen.Id(l.id).String()).Add(w.typ(t)).Add(inLine(jen.Return(made)))
}

// appendWholeKey returns the function that encodes a key: ordered.AppendString[string], or appendPostKey.
func (w *writer) appendWholeKey() *jen.Statement {
	if w.e.KeyType != "" {
		return jen.Id("append" + w.e.KeyType)
	}
	return w.appendKeyFunc(w.e.Keys[0].Key, false)
}

// readWholeKey returns the function that reads a key: ordered.ReadString[string], or readPostKey.
func (w *writer) readWholeKey() *jen.Statement {
	if w.e.KeyType != "" {
		return jen.Id("read" + w.e.KeyType)
	}
	return w.readKeyFunc(w.e.Keys[0].Key)
}
