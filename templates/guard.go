package templates

import "github.com/dave/jennifer/jen"

// emitGuard emits
//
//	// If this does not compile, Item has changed since its code was generated: run go generate, or kixxgen.
//	func _() {
//		_ = Item(struct {
//			ID   string
//			Tags []string
//		}{})
//	}
//
// A conversion takes no heed of field tags, so that they are left out.
func (w *writer) emitGuard(st *Struct) {
	if st.Literal == nil {
		return
	}
	var fields []jen.Code
	for _, f := range st.Literal {
		field := jen.Null()
		if f.Name != "" {
			field = jen.Id(f.Name)
		}
		fields = append(fields, field.Add(f.Type.code()))
	}
	name := st.Type.Name.Name
	w.doc("If this does not compile, %s has changed since its code was generated: run go generate, or kixxgen.", name)
	w.Func().Id("_").Params().Block(
		jen.Id("_").Op("=").Add(w.typ(st.Type)).Parens(jen.Struct(fields...).Values()))
}
