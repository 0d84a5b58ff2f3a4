package inspect

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kixxgen/kixxgen/internal/inside"
	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// LoadOptions say how lines are loaded.
type LoadOptions struct {
	Entity    string // of all lines; "": each line says it
	Plain     bool   // a line is a document, without anything around it
	Keep      bool   // documents that are there already stay
	Replace   bool   // or are written over
	Unchecked bool   // load although the application would run code on what it writes
	Rebuild   bool   // let the application build anew the indexes that only it can keep
	First     int    // the line to begin with, 1 for all
	Progress  func(Loaded)
	Now       func() time.Time
}

// Loaded is how far a load has come.
type Loaded struct {
	Lines int // up to this line, all is in
	Docs  int // that are in
}

// A LineError says which line of a load was refused. All lines before it are in.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Load stores the documents that lines of JSON have, see [Doc.AppendLine], with their index entries. It takes no more memory
// for more lines. A document of a dump keeps its revision and times; of another one the times that are missing are set.
// It stops at the first line that is refused, with a [*LineError]; those before it are in.
func (d *Database) Load(ctx context.Context, r io.Reader, o LoadOptions) (Loaded, error) {
	l := &loader{d: d, o: o, lines: bufio.NewReaderSize(r, 64<<10), open: make(map[string]*openEntity)}
	l.in.Lines = max(o.First-1, 0)
	if o.Entity != "" {
		if _, err := l.entityNamed(ctx, o.Entity); err != nil {
			return l.in, err
		}
	}
	doc, err := l.next(ctx)
	for doc != nil && err == nil {
		doc, err = l.entity(ctx, doc)
	}
	return l.in, err
}

// A loader reads lines.
type loader struct {
	d       *Database
	o       LoadOptions
	lines   *bufio.Reader
	line    int // the number of the last line that was read
	buf     []byte
	open    map[string]*openEntity
	pending []int // lines of the documents that are on their way
	in      Loaded
}

// entity loads doc and the documents after it, up to one of another entity, which it returns.
func (l *loader) entity(ctx context.Context, doc *Doc) (other *Doc, err error) {
	e := l.open[doc.of.Name]
	options := []kixx.LoadOption{inside.LoadAsIs.(kixx.LoadOption)}
	switch {
	case l.o.Keep:
		options = append(options, kixx.KeepExisting())
	case l.o.Replace:
		options = append(options, kixx.ReplaceExisting())
	}
	done := 0
	options = append(options, kixx.LoadProgress(func(in int) {
		n := in - done
		done = in
		l.in.Docs += n
		l.in.Lines = l.pending[n-1]
		l.pending = slices.Delete(l.pending, 0, n)
		if l.o.Progress != nil {
			l.o.Progress(l.in)
		}
	}))
	var bad error
	var docs iter.Seq[*Doc] = func(yield func(*Doc) bool) {
		for doc != nil && doc.of == e.Entity {
			l.pending = append(l.pending, l.line)
			if !yield(doc) {
				return
			}
			if doc, bad = l.next(ctx); bad != nil {
				return
			}
		}
		other = doc
	}
	if _, err := e.repo.Load(ctx, docs, options...); err != nil {
		if len(l.pending) > 0 && ctx.Err() == nil {
			err = &LineError{l.pending[0], err}
		}
		return nil, err
	}
	return other, bad
}

// maxLine is how long a line may be: the largest document, with every byte of it written in six.
const maxLine = 6*(16<<20) + 1<<20

// next returns the document of the next line, nil at the end. Lines without anything are skipped.
func (l *loader) next(ctx context.Context) (*Doc, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		line, err := l.readLine()
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if l.line < l.o.First || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if l.line == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		doc, err := l.parse(ctx, line)
		if err != nil {
			return nil, &LineError{l.line, err}
		}
		return doc, nil
	}
}

// readLine reads a line, without its end.
func (l *loader) readLine() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.lines.ReadSlice('\n')
		if len(l.buf) == 0 && len(part) > 0 {
			l.line++
		}
		l.buf = append(l.buf, part...)
		switch {
		case len(l.buf) > maxLine:
			return nil, &LineError{l.line, fmt.Errorf("the line is longer than %d MiB", maxLine>>20)}
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(l.buf) == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, &LineError{l.line, err}
		}
		return bytes.TrimRight(l.buf, "\r\n"), nil
	}
}

// entityNamed returns an entity for loading.
func (l *loader) entityNamed(ctx context.Context, name string) (*openEntity, error) {
	if e := l.open[name]; e != nil {
		return e, nil
	}
	e, err := l.d.Entity(name)
	if err != nil {
		return nil, err
	}
	if err := e.loadable(&l.o); err != nil {
		return nil, err
	}
	o, err := e.open(ctx, l.d.db, true, notMigrated)
	if err != nil {
		return nil, err
	}
	l.open[name] = o
	return o, nil
}

// notMigrated stands for the migrations of the application where old documents must not be written over as they are.
func notMigrated(level int, _ *kixx.Fields) error {
	return fmt.Errorf("the stored document lacks the migration to level %d, which only its application has; let that Migrate first", level)
}

// loadable says why documents of e cannot be loaded without its application.
func (e *Entity) loadable(o *LoadOptions) error {
	if len(e.Code) > 0 && !o.Unchecked {
		return asked("the application of %s runs code on what it writes, which is not here: %s. Use Load of its repository; "+
			"or load with --unchecked what has been through it already, as what was dumped has", e.Name, strings.Join(e.Code, ", "))
	}
	var names []string
	var why error
	for _, ix := range e.indexes {
		if ix.state != "stale" && ix.bad != nil {
			names = append(names, ix.Name)
			why = ix.bad
		}
	}
	if len(names) > 0 && !o.Rebuild {
		return asked("%s cannot be kept here for %s: %w. Use Load of its repository; or load with --rebuild: until the "+
			"application has opened the database again and built them anew, they answer no query", strings.Join(names, ", "), e.Name, why)
	}
	return nil
}

// parse reads a line.
func (l *loader) parse(ctx context.Context, line []byte) (*Doc, error) {
	p, err := newParser(line)
	if err != nil {
		return nil, err
	}
	tok, err := p.next()
	if err != nil {
		return nil, err
	}
	if tok != json.Delim('{') {
		return nil, p.wrongf("want an object")
	}
	doc := &Doc{}
	var e *openEntity
	if l.o.Entity != "" {
		if e, err = l.entityNamed(ctx, l.o.Entity); err != nil {
			return nil, err
		}
	}
	if l.o.Plain {
		if doc.body, err = p.structure(nil, e.doc, 0); err != nil {
			return nil, err
		}
		return doc, cmp.Or(p.end(), l.finish(e, doc))
	}
	var tuple []byte
	level := -1
	err = p.members(func(name string) (err error) {
		if name != "entity" && e == nil {
			return p.wrongf(`the line does not begin with its "entity", and there is no --entity`)
		}
		switch name {
		case "entity":
			text, err := p.string()
			if err != nil {
				return err
			}
			if l.o.Entity != "" && text != l.o.Entity {
				return p.wrongf("the document is one of %s, not of %s", text, l.o.Entity)
			}
			e, err = l.entityNamed(ctx, text)
			return err
		case "key":
			tuple, err = p.key(e.Entity)
		case "rev":
			doc.Rev, err = p.rev()
		case "level":
			tok, terr := p.next()
			number, _ := tok.(json.Number)
			if level, err = strconv.Atoi(number.String()); terr != nil || err != nil {
				err = cmp.Or(terr, p.wrongf("want a number"))
			}
		case "doc":
			tok, terr := p.next()
			if terr != nil || tok != json.Delim('{') {
				return cmp.Or(terr, p.wrongf("want an object"))
			}
			if level >= 0 && level != e.level {
				return p.wrongf("it was written at migrate level %d, %s is at %d here; let its application Migrate before the dump", level, e.Name, e.level)
			}
			path := p.path
			p.path = nil // from here on it is that of a field
			doc.body, err = p.structure(nil, e.doc, 0)
			p.path = path
		default:
			err = p.wrongf("a line has entity, key, rev, level and doc; --plain loads documents without anything around them")
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case doc.body == nil:
		return nil, errors.New(`the line has no "doc"; --plain loads documents without anything around them`)
	}
	if err := cmp.Or(p.end(), l.finish(e, doc)); err != nil {
		return nil, err
	}
	if tuple != nil && string(tuple) != doc.key.tuple {
		return nil, fmt.Errorf("the key of the line is %s, that of its document %s", Key{string(tuple), e.Entity}, doc.key)
	}
	return doc, nil
}

// key reads the key of a line.
func (p *parser) key(e *Entity) (tuple []byte, err error) {
	part := func(i int) error {
		if i >= len(e.keys) {
			return p.wrongf("the key of %s has %d parts", e.Name, len(e.keys))
		}
		value, err := p.value(nil, e.keys[i].typ, 0)
		if err != nil {
			return err
		}
		if tuple, _, err = e.keys[i].append(tuple, value); err != nil {
			return p.wrong(err)
		}
		return nil
	}
	if len(e.keys) == 1 {
		return tuple, part(0)
	}
	if tok, err := p.next(); err != nil || tok != json.Delim('[') {
		return nil, cmp.Or(err, p.wrongf("want a list of %d parts: %s", len(e.keys), e.keyForm()))
	}
	n := 0
	err = p.elements(func(i int) error {
		n++
		return part(i)
	})
	if err == nil && n != len(e.keys) {
		err = p.wrongf("the key of %s has %d parts", e.Name, len(e.keys))
	}
	return tuple, err
}

// rev reads a revision: that of a dump, a number, or null.
func (p *parser) rev() (rev kixx.Rev, err error) {
	tok, err := p.next()
	if err != nil {
		return rev, err
	}
	switch v := tok.(type) {
	case nil:
	case string:
		if rev, err = kixx.ParseETag(v); err != nil {
			return rev, p.wrong(err)
		}
	case json.Number:
		n, err := strconv.ParseUint(v.String(), 10, 63)
		if err != nil {
			return rev, p.wrongf("%s is no revision", shorten(v.String()))
		}
		rev = kixx.RevOf(n)
	default:
		err = p.wrongf("want a revision")
	}
	return rev, err
}

// finish makes a document of the fields that were read.
func (l *loader) finish(e *openEntity, doc *Doc) (err error) {
	doc.of = e.Entity
	if doc.body, err = e.withTimes(doc.body, l.o.Now()); err != nil {
		return err
	}
	if _, err := doc.read(doc.body, new(gen.Unknown), e.kept); err != nil {
		return err
	}
	empty := true
	for _, k := range e.keys {
		empty = empty && k.typ.kind == stringKind
	}
	if empty && doc.key.tuple == strings.Repeat("\x00\x01", len(e.keys)) {
		return fmt.Errorf("the key is empty: %s", e.keyForm())
	}
	return nil
}

// withTimes returns a body whose created and updated fields are set.
func (e *Entity) withTimes(body []byte, now time.Time) (_ []byte, err error) {
	zero := gen.AppendTime(nil, time.Time{})
	unset := func(name string, value []byte) bool {
		return slices.Contains(e.touched, name) && (bytes.Equal(value, zero) || msgp.NextType(value) == msgp.NilType)
	}
	any, n, fields := false, uint32(0), []byte(nil)
	_, err = eachField(body, func(name string, value []byte) {
		n++
		fields = msgp.AppendString(fields, name)
		if unset(name, value) {
			any = true
			fields = gen.AppendTime(fields, now)
		} else {
			fields = append(fields, value...)
		}
	})
	if err != nil || !any {
		return body, err
	}
	return append(msgp.AppendMapHeader(nil, n), fields...), nil
}
