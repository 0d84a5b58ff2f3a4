package load

import (
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"

	"github.com/kixxgen/kixxgen/internal/hint"
	"github.com/kixxgen/kixxgen/templates"
)

// funcName returns the function that a //kixx:view line names, or "".
func (d directive) funcName() string {
	for _, w := range d.args {
		if a := w.split(); a.name == "func" {
			return a.value
		}
	}
	return ""
}

// viewsOf makes the views of e.
func (b *builder) viewsOf(e *entity) {
	for _, d := range e.views {
		b.view(e, d)
	}
}

// view makes the view of a //kixx:view line.
func (b *builder) view(e *entity, d directive) {
	f := e.file
	if len(d.args) == 0 {
		b.at(f.pos(d.at), "//kixx:view wants a name and a function: //kixx:view ByPriceRange func=emitPriceRange")
		return
	}
	name := d.args[0]
	if !exported(name.text) {
		b.at(f.pos(name.at), "view name %q: want an identifier with a capital first letter", name.text)
		return
	}
	view := &templates.View{Name: name.text, Query: strings.TrimPrefix(name.text, "By")}
	if !exported(view.Query) {
		view.Query = name.text
	}
	good := true
	version, at := "", f.pos(d.at)
	for _, w := range d.args[1:] {
		a := w.split()
		switch {
		case a.name == "func" && view.Func == "":
			view.Func, at = a.value, f.pos(a.valueAt)
		case a.name == "version" && version == "":
			version = a.value
			good = b.version(f, a, "view "+view.Name) && good
		case a.name == "func", a.name == "version":
			b.at(f.pos(w.at), "view %s: option %q is there twice", view.Name, a.name)
			good = false
		default:
			b.at(f.pos(w.at), "view %s: unknown option %q%s", view.Name, w.text, hint.Nearest(firstOf(a.name, w.text), "func=", "version="))
			good = false
		}
	}
	if view.Func == "" {
		b.at(at, "view %s: no function; add func=… with the name of a func(*%s, kixx.Emit[K, V])", view.Name, e.name)
		return
	}
	key, value, ok := b.viewFunc(e, view, at)
	if !ok || !good {
		return
	}
	var bad *refusal
	if view.Key, bad = b.typeOf(key); bad == nil && !hasOrder(view.Key) {
		bad = refuse("type %s has no order that a view could have; keys are bool, numbers, strings, []byte, time.Time, UUIDs, or have MarshalText and UnmarshalText", b.show(key))
	}
	if bad != nil {
		if bad.text != "" {
			b.at(at, "view %s: key of %s: %s", view.Name, view.Func, bad.text)
		}
		return
	}
	if view.Value, bad = b.typeOf(value); bad != nil {
		if bad.text != "" {
			b.at(at, "view %s: value of %s: %s", view.Name, view.Func, bad.text)
		}
		return
	}
	if !b.takeName(e, view.Query, "view "+view.Name, f.pos(name.at), "//kixx:view … func="+view.Func) {
		return
	}
	view.Of = typeText(view.Key) + " " + typeText(view.Value)
	if version != "" {
		view.Of += " version " + version
	} else {
		view.Of += " source " + b.fingerprint(b.pkg, view.Func)
	}
	view.Of += b.evolved(e, e.fields.model.Fields, version != "")
	e.model.Views = append(e.model.Views, view)
}

// viewFunc returns the key and value types of a view's function, or reports what is wrong with it.
func (b *builder) viewFunc(e *entity, view *templates.View, at token.Pos) (key, value types.Type, ok bool) {
	want := "func(*" + e.name + ", kixx.Emit[K, V])"
	d := b.pkg.decls[view.Func]
	if d == nil {
		hint := ""
		declares := func(name string) bool {
			src, err := readUser(filepath.Join(b.pkg.Dir, name))
			return err == nil && strings.Contains(string(src), "func "+view.Func+"(")
		}
		for _, name := range b.pkg.TestGoFiles {
			if !e.file.test && declares(name) {
				hint = "; the one in " + name + " is there for tests alone"
			}
		}
		for _, name := range b.pkg.IgnoredGoFiles {
			if declares(name) {
				hint = "; the one in " + name + " is excluded by build constraints"
			}
		}
		b.at(at, "view %s: there is no function %s in package %s%s; want %s", view.Name, view.Func, b.pkg.name, hint, want)
		return nil, nil, false
	}
	node, isFunc := d.node.(*ast.FuncDecl)
	fn, isTyped := b.pkg.types.Scope().Lookup(view.Func).(*types.Func)
	if !isFunc || !isTyped {
		b.at(at, "view %s: %s is no function (%s); want %s", view.Name, view.Func, b.where(d.pos), want)
		return nil, nil, false
	}
	sig := fn.Signature()
	params := sig.Params()
	if sig.TypeParams() == nil && params.Len() == 2 && sig.Results().Len() == 0 && !sig.Variadic() {
		doc, isPointer := types.Unalias(params.At(0).Type()).(*types.Pointer)
		emit, isNamed := types.Unalias(params.At(1).Type()).(*types.Named)
		if isPointer && types.Identical(doc.Elem(), e.fields.typ) && isNamed && isRuntime(emit, "Emit") && emit.TypeArgs().Len() == 2 {
			return emit.TypeArgs().At(0), emit.TypeArgs().At(1), true
		}
	}
	if msg := b.pkg.complaint(d.file, node.Type); msg != "" {
		b.at(node.Name.Pos(), "view %s: %s: %s; want %s", view.Name, view.Func, msg, want)
		return nil, nil, false
	}
	b.at(at, "view %s: %s is a %s (%s); want %s", view.Name, view.Func, b.show(sig), b.where(d.pos), want)
	return nil, nil, false
}

// hooks finds the methods of e that the runtime calls. They are wired by their names, so a method of such a name that would
// not be called as it is meant is a mistake.
func (b *builder) hooks(e *entity, named *types.Named) {
	h := &e.model.Hooks
	for _, hook := range []struct {
		name, want string
		found      *bool
	}{
		{"BeforeSet", "BeforeSet(ctx context.Context) error", &h.BeforeSet},
		{"Validate", "Validate() error", &h.Validate},
		{"AfterSet", "AfterSet(ctx context.Context)", &h.AfterSet},
		{"BeforeDelete", "BeforeDelete(ctx context.Context) error", &h.BeforeDelete},
	} {
		object, _, _ := types.LookupFieldOrMethod(types.NewPointer(named), true, b.pkg.types, hook.name)
		fn, ok := object.(*types.Func)
		if !ok {
			continue
		}
		at := e.pos()
		if fn.Pkg() != nil && b.mine(b.imported(b.pkg, fn.Pkg().Path())) {
			at = fn.Pos()
		}
		for _, again := range b.pkg.repeats[e.name+"."+hook.name] {
			b.at(again, "method %s.%s is declared twice, also in %s", e.name, hook.name, b.where(fn.Pos()))
		}
		sig := fn.Signature()
		receiver := types.Unalias(sig.Recv().Type())
		_, isPointer := receiver.(*types.Pointer)
		_, isInterface := receiver.Underlying().(*types.Interface)
		switch {
		case !hookSignature(hook.name, sig):
			b.at(at, "method %s is a hook of %s: want func (*%s) %s; give it another name if it is no hook", hook.name, e.name, e.name, hook.want)
		case !isPointer && !isInterface:
			b.at(at, "method %s is a hook of %s: want a pointer receiver, func (*%s) %s; with a value receiver it works on a copy", hook.name, e.name, e.name, hook.want)
		default:
			*hook.found = true
		}
	}
}

// hookSignature reports whether sig is what a hook of this name has.
func hookSignature(name string, sig *types.Signature) bool {
	params, results := 1, 1
	if name == "Validate" {
		params = 0
	}
	if name == "AfterSet" {
		results = 0
	}
	if sig.Params().Len() != params || sig.Results().Len() != results || sig.Variadic() {
		return false
	}
	if params == 1 {
		named, ok := types.Unalias(sig.Params().At(0).Type()).(*types.Named)
		if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != "context" || named.Obj().Name() != "Context" {
			return false
		}
	}
	return results == 0 || types.Identical(sig.Results().At(0).Type(), types.Universe.Lookup("error").Type())
}
