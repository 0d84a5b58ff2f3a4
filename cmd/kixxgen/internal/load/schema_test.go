package load

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// FuzzSchema reads two schema files, however they were edited, and what git makes of them when it cannot merge them. Each
// is read or its wrong lines are named; what was read is written and read again the same; and in a conflict the lines of both
// sides hold, whichever comes first, unless they say different things about one field.
func FuzzSchema(f *testing.F) {
	line := `,{"entity":"item","field":"id","go":"ID","type":"string","options":"key,auto"}`
	for _, s := range [][2]string{
		{schemaStart + "\n" + line + "\n]\n", schemaStart + "\n" + strings.Replace(line, "id", "sku", 1) + "\n]\n"},
		{line, strings.Replace(line, "string", "int", 1)},
		{line + "\r\n" + line + " \n", `,{"entity":"item","migrate":1,"func":"up"}`},
		{`,{"entity":"item","field":"a","type":"int","was":["b","c"],"default":"\u2028<"}`, `,{"Entity":"item","field":"a","type":"int","was":[]}`},
		{"<<<<<<< HEAD\n" + line + "\n||||||| base\nx\n=======\n>>>>>>> b\n", "]\n\n" + line},
		{",{}", `,{"entity":"item"}{}`}, {",null", ",\x00"}, {`,{"entity":"\xff","field":"\xff","type":"t"}`, `,{"entity":"a","field":"b","type":"t","migrate":-1}`},
	} {
		f.Add([]byte(s[0]), []byte(s[1]))
	}
	read := func(t *testing.T, src []byte) (text []byte, good bool) {
		t.Helper()
		l := &loader{}
		lines, good := l.parseSchema(SchemaFile, src)
		if good != (len(l.problems) == 0) {
			t.Fatalf("%q: good is %v, with the problems %v", src, good, l.problems)
		}
		for _, p := range l.problems {
			if p.File != SchemaFile || p.Line < 1 || p.Line > bytes.Count(src, []byte("\n"))+1 || p.Col != 1 {
				t.Fatalf("%q: problem at %s", src, p.Position(""))
			}
		}
		return formatSchema(lines), good
	}
	f.Fuzz(func(t *testing.T, mine, theirs []byte) {
		mine, goodMine := read(t, mine)
		theirs, goodTheirs := read(t, theirs)
		if !goodMine || !goodTheirs {
			return
		}
		if again, good := read(t, mine); !good || !bytes.Equal(again, mine) {
			t.Fatalf("%q is read and written again as %q, %v", mine, again, good)
		}
		conflict := fmt.Appendf(nil, "<<<<<<< HEAD\n%s||||||| base\n,{}\n=======\n%s>>>>>>> branch\n", mine, theirs)
		reverse := fmt.Appendf(nil, "<<<<<<< HEAD\n%s=======\n%s>>>>>>> branch\n", theirs, mine)
		both, good := read(t, conflict)
		other, goodToo := read(t, reverse)
		lines := bytes.Split(bytes.TrimSuffix(mine, []byte("]\n")), []byte("\n"))
		for line := range bytes.SplitSeq(theirs, []byte("\n")) {
			if !slices.ContainsFunc(lines, func(l []byte) bool { return bytes.Equal(l, line) }) {
				lines = append(lines, line)
			}
		}
		union, want := read(t, bytes.Join(lines, []byte("\n")))
		if good != want || goodToo != want || want && (!bytes.Equal(both, union) || !bytes.Equal(other, union)) {
			t.Fatalf("a conflict of\n%s\nand\n%s\nis read as\n%s (%v), the other way round\n%s (%v), want\n%s (%v)", mine, theirs, both, good, other, goodToo, union, want)
		}
		if want && bytes.Count(union, []byte("\n")) < max(bytes.Count(mine, []byte("\n")), bytes.Count(theirs, []byte("\n"))) {
			t.Fatalf("lines are lost between\n%s\n%s\nand\n%s", mine, theirs, union)
		}
	})
}
