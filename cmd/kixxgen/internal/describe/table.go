package describe

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table writes the description for a person to read.
func (d *Description) Table(w io.Writer) error {
	var b bytes.Buffer
	for i, e := range d.Entities {
		if i > 0 {
			b.WriteString("\n")
		}
		e.table(&b)
	}
	// tabwriter leaves blanks behind the last cell of a line where a longer line follows.
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// table writes e as blocks of columns.
func (e *Entity) table(w io.Writer) {
	fmt.Fprintf(w, "%s of %s, stored as %q\n\n", e.Name, e.Package, e.Stored)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  FIELD\tSTORED\tTYPE\tNOTES")
	e.rows(t, e.Fields, "  ", true)
	if e.Revision != "" {
		fmt.Fprintf(t, "  %s\t-\tkixx.Rev\trevision\n", e.Revision)
	}
	for _, name := range e.Dropped {
		fmt.Fprintf(t, "  _\t%s\t-\tdropped\n", name)
	}
	t.Flush()

	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  INDEX\tORDER\tMETHODS")
	fmt.Fprintf(t, "  key\t%s\t%s\n", order(e.Key.Fields), strings.Join(e.Key.Methods, ", "))
	for _, ix := range e.Indexes {
		name := ix.Name
		if ix.Unique {
			name += " (unique)"
		}
		if ix.Superfluous != nil {
			name += " (superfluous)"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", name, order(ix.Fields), strings.Join(ix.Methods, ", "))
	}
	t.Flush()

	if len(e.Views) > 0 {
		fmt.Fprintln(w)
		t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "  VIEW\tFUNCTION\tKEY\tVALUE\tMETHODS")
		for _, v := range e.Views {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", v.Name, v.Func, v.Key, v.Value, strings.Join(v.Methods, ", "))
		}
		t.Flush()
	}

	var more []string
	if len(e.Hooks) > 0 {
		more = append(more, "hooks\t"+strings.Join(e.Hooks, ", "))
	}
	if e.Validated {
		how := "by the validate tags"
		switch tagged := anyRules(e.Fields); {
		case tagged && slices.Contains(e.Hooks, "Validate"):
			how += ", then by Validate"
		case !tagged:
			how = "by Validate"
		}
		more = append(more, "validated\t"+how)
	}
	for _, m := range e.Migrations {
		more = append(more, fmt.Sprintf("migration %d\t%s", m.Level, m.Func))
	}
	if e.Peek {
		more = append(more, "peek\tPeek and Peeks read documents without a copy")
	}
	if e.Constraint != "" {
		more = append(more, "constraint\t"+e.Constraint)
	}
	for _, ix := range e.Indexes {
		if ix.Superfluous != nil {
			more = append(more, "superfluous\t"+ix.Name+": "+ix.Superfluous.Why)
		}
	}
	if len(more) > 0 {
		fmt.Fprintln(w)
		t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, line := range more {
			fmt.Fprintln(t, "  "+line)
		}
		t.Flush()
	}
}

// rows writes a line for each field, and below it those of the struct that it is.
func (e *Entity) rows(w io.Writer, fields []*Field, indent string, top bool) {
	for _, f := range fields {
		var notes []string
		if top {
			notes = e.roles(f)
		}
		if f.Validate != "" {
			notes = append(notes, fmt.Sprintf("validate %q", f.Validate))
		}
		if f.Merge != "" {
			notes = append(notes, "merge "+f.Merge)
		}
		for _, name := range f.Was {
			notes = append(notes, "was "+name)
		}
		if f.Default != "" {
			notes = append(notes, "default "+f.Default)
		}
		fmt.Fprintf(w, "%s%s\t%s%s\t%s\t%s\n", indent, f.Name, indent[2:], f.Stored, f.GoType, strings.Join(notes, "; "))
		e.rows(w, f.Fields, indent+"  ", false)
	}
}

// roles returns what a field means for the document.
func (e *Entity) roles(f *Field) []string {
	var roles []string
	for i, k := range e.Key.Fields {
		switch {
		case k.Name != f.Name:
		case len(e.Key.Fields) > 1:
			roles = append(roles, fmt.Sprintf("key %d", i+1))
		case e.Key.Auto:
			roles = append(roles, "key, made by Insert")
		default:
			roles = append(roles, "key")
		}
	}
	switch f.Name {
	case e.Created:
		roles = append(roles, "set when it is stored first")
	case e.Updated:
		roles = append(roles, "set whenever it is stored")
	case e.Deleted:
		roles = append(roles, "set by Delete")
	}
	return roles
}

// order returns the stored names of the fields, with what is particular to each.
func order(fields []*IndexField) string {
	var list []string
	for _, f := range fields {
		text := f.Stored
		if f.Descending {
			text += " descending"
		}
		if f.Each {
			text = "each of " + text
		}
		if f.Optional {
			text += " unless nil"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// anyRules reports whether a field, or one inside, has a validate tag.
func anyRules(fields []*Field) bool {
	for _, f := range fields {
		if f.Validate != "" || anyRules(f.Fields) {
			return true
		}
	}
	return false
}
