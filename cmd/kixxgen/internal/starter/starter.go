// Package starter has the files that kixxgen init begins a module or a package with.
package starter

import (
	"embed"
	"path"
	"strings"
	"unicode"
)

//go:embed files
var files embed.FS

// Attributes is the line of .gitattributes for generated files: git leaves their line ends alone, and GitHub folds them in a
// pull request.
const Attributes = "*_kixx.go text eol=lf linguist-generated"

// Package returns the files of a package with one entity, by their names.
func Package(name string) map[string]string {
	made := map[string]string{}
	for _, file := range []string{"note.go", "note_test.go"} {
		made[file] = strings.NewReplacer("Package notes ", "Package "+name+" ", "package notes\n", "package "+name+"\n").Replace(content(file))
	}
	return made
}

// Application returns the files of a module: a package, and a program that uses it. The name of the module is an import path.
func Application(module string) map[string]string {
	made := map[string]string{"main.go": strings.NewReplacer("MODULE", module, "NAME", path.Base(module)).Replace(content("main.go"))}
	for name, text := range Package("notes") {
		made["notes/"+name] = text
	}
	return made
}

// GoMod returns a go.mod that requires nothing yet.
func GoMod(module string) string { return "module " + module + "\n\ngo 1.26.0\n" }

// content returns an embedded file.
func content(name string) string {
	b, err := files.ReadFile("files/" + name + ".txt")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Word returns the small letters and digits of a name, which can be a name of a package then, or "" if there is no letter to
// begin with.
func Word(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || b.Len() > 0 && unicode.IsDigit(r)) {
			b.WriteRune(r)
		}
	}
	return b.String()
}
