package templates

import "github.com/dave/jennifer/jen"

// emitRepo emits
//
//	// If this does not compile, the runtime is of another version than this code: run go generate, or kixxgen.
//	const _ = kixx.GeneratedV1
//
//	// ItemRepo stores Item documents by ID. It has the methods of [kixx.Repo]: …
//	type ItemRepo struct {
//		kixx.Repo[*Item, string]
//	}
//
//	// NewItemRepo registers Item with db, and checks or builds its indexes.
//	func NewItemRepo(ctx context.Context, db *kixx.DB) (*ItemRepo, error) {
//		r, err := kixx.NewRepo(ctx, db, itemSchema)
//		if err != nil {
//			return nil, err
//		}
//		return &ItemRepo{r}, nil
//	}
func (w *writer) emitRepo() {
	e, l := w.e, &w.locals
	w.doc("If this does not compile, the runtime is of another version than this code: run go generate, or kixxgen.")
	w.Const().Id("_").Op("=").Qual(kixxPath, "GeneratedV1")

	soft := ""
	if e.Deleted != nil {
		soft = " Delete sets " + e.Deleted.GoName() + ", and from then on only WithDeleted finds it; there are also Restore and Purge, of [kixx.SoftRepo]."
	}
	w.doc("%s stores %s documents by %s. It has the methods of [kixx.Repo]: Get, GetMany, Has, Insert, Set, Overwrite, "+
		"Update, UpdateIf, Upsert, Delete, DeleteIf, SetMany, Load, Query, All, Count, Watch, Migrate.%s It is safe for concurrent use.",
		w.repo(), e.Name, w.keyNames(), soft)
	w.Type().Id(w.repo()).Struct(jen.Qual(kixxPath, w.generic()).Types(w.document(), w.keyType()))

	w.doc("New%s registers %s with %s, and checks or builds its indexes.", w.repo(), e.Name, l.db)
	w.Func().Id("New"+w.repo()).
		Params(jen.Id(l.ctx).Qual("context", "Context"), jen.Id(l.db).Op("*").Qual(kixxPath, "DB")).
		Params(jen.Op("*").Id(w.repo()), jen.Error()).
		Block(
			jen.List(jen.Id(l.repo), jen.Id(l.err)).Op(":=").Qual(kixxPath, "New"+w.generic()).Call(jen.Id(l.ctx), jen.Id(l.db), jen.Id(w.schemaVar())),
			jen.If(jen.Id(l.err).Op("!=").Nil()).Block(jen.Return(jen.Nil(), jen.Id(l.err))),
			jen.Return(jen.Op("&").Id(w.repo()).Values(jen.Id(l.repo)), jen.Nil()),
		)
}

// emitWith emits
//
//	// With returns the repository for a transaction or snapshot: what it reads is the state of the scope, and in a
//	// transaction its writes are part of it. With(nil) is the repository as it is outside.
//	func (r *ItemRepo) With(s kixx.Scope) *ItemRepo {
//		return &ItemRepo{kixx.Bind(&r.Repo, s)}
//	}
//
// and, if there is a deleted field,
//
//	// WithDeleted returns the repository as it sees posts that are marked as deleted as well.
//	func (r *PostRepo) WithDeleted() *PostRepo {
//		return &PostRepo{kixx.WithDeleted(&r.SoftRepo)}
//	}
func (w *writer) emitWith() {
	l := &w.locals
	bind, whole := "Bind", jen.Op("&").Id(l.repo).Dot(w.generic())
	if w.e.Deleted != nil {
		bind = "BindSoft"
	}
	w.doc("With returns the repository for a transaction or snapshot: what it reads is the state of the scope, and in a " +
		"transaction its writes are part of it. With(nil) is the repository as it is outside.")
	w.method("With", []jen.Code{jen.Id(l.scope).Qual(kixxPath, "Scope")}, jen.Op("*").Id(w.repo())).
		Block(jen.Return(jen.Op("&").Id(w.repo()).Values(jen.Qual(kixxPath, bind).Call(whole.Clone(), jen.Id(l.scope)))))
	if w.e.Deleted != nil {
		w.doc("WithDeleted returns the repository as it sees %s that are marked as deleted as well.", w.e.Plural)
		w.method("WithDeleted", nil, jen.Op("*").Id(w.repo())).
			Block(jen.Return(jen.Op("&").Id(w.repo()).Values(jen.Qual(kixxPath, "WithDeleted").Call(whole))))
	}
}

// emitKeyRange emits
//
//	// RangeByKey queries items in the order of their IDs.
//	func (r *ItemRepo) RangeByKey() *kixx.TextRange[*Item, string, string] {
//		return kixx.KeyTextRange(&r.Repo, nil, ordered.AppendString[string])
//	}
//
// The range of a key of several fields is over the last one:
//
//	// RangeByKey queries the posts with this Tenant in the order of their Slugs.
//	func (r *PostRepo) RangeByKey(tenant string) *kixx.TextRange[*Post, PostKey, string] {
//		return kixx.KeyTextRange(&r.Repo, ordered.AppendString(nil, tenant), ordered.AppendString[string])
//	}
func (w *writer) emitKeyRange() {
	e := w.e
	n := len(e.Keys) - 1
	lead, last := e.Keys[:n], e.Keys[n]
	which := e.Plural
	if n > 0 {
		which = "the " + which + " " + with(lead)
	}
	w.doc("RangeByKey queries %s in the order of their %s.", which, plural(last.Field.GoName()))
	w.method("RangeByKey", w.params(lead), w.rangeType(w.document(), last.Key)).
		Block(jen.Return(jen.Qual(kixxPath, "Key"+rangePrefix(last.Key)+"Range").
			Call(w.theRepo(), w.appendParams(lead), w.appendKeyFunc(last.Key, false))))
}

// method begins a method of the repository.
func (w *writer) method(name string, params []jen.Code, results ...jen.Code) *jen.Statement {
	f := w.Func().Params(jen.Id(w.locals.repo).Op("*").Id(w.repo())).Id(name).Params(params...)
	if len(results) == 1 {
		return f.Add(results[0])
	}
	return f.Params(results...)
}

// generic returns the name of the generic repository that is embedded.
func (w *writer) generic() string {
	if w.e.Deleted != nil {
		return "SoftRepo"
	}
	return "Repo"
}

// theRepo returns the generic repository inside of the receiver.
func (w *writer) theRepo() *jen.Statement { return jen.Op("&").Id(w.locals.repo).Dot("Repo") }

// rangeType returns *kixx.TextRange[found, K, V] or *kixx.Range[found, K, V] for a range over values of type t.
func (w *writer) rangeType(found jen.Code, t *Type) *jen.Statement {
	return jen.Op("*").Qual(kixxPath, rangePrefix(t)+"Range").Types(found, w.keyType(), w.typ(t))
}

// emitHooks emits, for each method that the runtime calls,
//
//	var _ kixx.BeforeSetter = (*Item)(nil)
func (w *writer) emitHooks() {
	w.Line()
	for _, h := range w.hooks() {
		w.Var().Id("_").Qual(kixxPath, h.pinned).Op("=").Parens(w.document()).Parens(jen.Nil())
	}
}

// A hook is a method of a document that the runtime calls, and the interface that pins its signature.
type hook struct{ method, pinned string }

// hooks returns the hooks that the entity has.
func (w *writer) hooks() []hook {
	var has []hook
	h := w.e.Hooks
	for _, one := range []struct {
		hook
		has bool
	}{
		{hook{"BeforeSet", "BeforeSetter"}, h.BeforeSet},
		{hook{"Validate", "Validator"}, h.Validate},
		{hook{"AfterSet", "AfterSetter"}, h.AfterSet},
		{hook{"BeforeDelete", "BeforeDeleter"}, h.BeforeDelete},
	} {
		if one.has {
			has = append(has, one.hook)
		}
	}
	return has
}
