package inspect

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kixxgen/kixxgen/internal/hint"
	"github.com/kixxgen/kixxgen/runtime/gen"
	"github.com/tinylib/msgp/msgp"
)

// A valueError says what is wrong in a line, and where.
type valueError struct {
	column int    // in bytes, from 1; 0: the line as a whole
	path   string // of the field: "address.city", "tags[3]"
	err    error
}

func (e *valueError) Error() string {
	text := e.err.Error()
	if e.path != "" {
		text = "field " + e.path + ": " + text
	}
	if e.column > 0 {
		text = "column " + strconv.Itoa(e.column) + ": " + text
	}
	return text
}

func (e *valueError) Unwrap() error { return e.err }

// A parser reads one JSON text, token by token, so that the order of names is known and one that is there twice is found.
type parser struct {
	dec  *json.Decoder
	path []string
	at   int64 // where the last token begins, about
	text []byte
}

// newParser returns a parser of a text, which it has looked through for what package json would change in silence.
func newParser(text []byte) (*parser, error) {
	if !utf8.Valid(text) {
		at := 0
		for rest := text; ; {
			r, n := utf8.DecodeRune(rest)
			if r == utf8.RuneError && n == 1 {
				return nil, &valueError{column: at + 1, err: errors.New("the bytes here are not UTF-8")}
			}
			at, rest = at+n, rest[n:]
		}
	}
	if at := halfSurrogate(text); at >= 0 {
		return nil, &valueError{column: at + 1, err: errors.New("half of a surrogate pair, which is no character")}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return &parser{dec: dec, text: text}, nil
}

// halfSurrogate returns where an escape like \ud800 stands that has not the other half beside it, or -1.
func halfSurrogate(text []byte) int {
	code := func(i int) (uint64, bool) {
		if len(text) < i+6 || text[i] != '\\' || text[i+1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		return v, err == nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		high, ok := code(i)
		if !ok || high < 0xD800 || high > 0xDFFF {
			i++ // what is escaped
			continue
		}
		if low, ok := code(i + 6); high > 0xDBFF || !ok || low < 0xDC00 || low > 0xDFFF {
			return i
		}
		i += 11
	}
	return -1
}

// next returns the next token.
func (p *parser) next() (json.Token, error) {
	p.at = p.dec.InputOffset()
	tok, err := p.dec.Token()
	if err != nil {
		return nil, p.syntax(err)
	}
	for p.at < int64(len(p.text)) && bytes.IndexByte([]byte(" \t\r\n,:"), p.text[p.at]) >= 0 {
		p.at++ // the offset is that behind the token before
	}
	return tok, nil
}

// syntax returns an error of the decoder with its place.
func (p *parser) syntax(err error) error {
	at := p.dec.InputOffset()
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset - 1
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		at, err = int64(len(p.text)), errors.New("the line ends inside a value")
	}
	return &valueError{column: int(max(at, 0)) + 1, path: p.where(), err: fmt.Errorf("no JSON: %w", err)}
}

// wrong returns an error about what was read last.
func (p *parser) wrong(err error) error {
	var e *valueError
	if errors.As(err, &e) {
		return err
	}
	return &valueError{column: int(p.at) + 1, path: p.where(), err: err}
}

func (p *parser) wrongf(format string, args ...any) error {
	return p.wrong(fmt.Errorf(format, args...))
}

func (p *parser) where() string {
	var b strings.Builder
	for i, step := range p.path {
		if i == 20 {
			b.WriteString(".…")
			break
		}
		if i > 0 && step[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	return b.String()
}

// in calls f one step deeper in the value.
func (p *parser) in(step string, f func() error) error {
	if step == "" {
		step = `""`
	}
	p.path = append(p.path, step)
	err := f()
	p.path = p.path[:len(p.path)-1]
	return err
}

// end checks that nothing follows.
func (p *parser) end() error {
	p.at = p.dec.InputOffset()
	if _, err := p.dec.Token(); err != io.EOF {
		return &valueError{column: int(p.at) + 1, err: errors.New("something follows the object; a line has one")}
	}
	return nil
}

// members reads the members of an object whose { was read.
func (p *parser) members(f func(name string) error) error {
	seen := make(map[string]bool)
	for {
		tok, err := p.next()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return nil // }
		}
		if seen[name] {
			return p.wrongf("the name %s is there twice", shorten(name))
		}
		seen[name] = true
		if err := p.in(name, func() error { return f(name) }); err != nil {
			return err
		}
	}
}

// elements reads the elements of a list whose [ was read.
func (p *parser) elements(f func(i int) error) error {
	for i := 0; p.dec.More(); i++ {
		if err := p.in("["+strconv.Itoa(i)+"]", func() error { return f(i) }); err != nil {
			return err
		}
	}
	_, err := p.next() // ]
	return err
}

// value reads a JSON value and appends it to b as a value of type t is stored.
func (p *parser) value(b []byte, t *typ, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, p.wrong(errDeep)
	}
	for t.kind == pointerKind {
		t = t.elem
	}
	switch t.kind {
	case jsonKind:
		return p.rawJSON(b)
	case anyKind:
		return p.any(b, depth)
	}
	tok, err := p.next()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case nil:
		return msgp.AppendNil(b), nil
	case json.Delim:
		switch {
		case v == '[' && (t.kind == sliceKind || t.kind == arrayKind || t.kind == boxKind):
			return p.list(b, t, depth)
		case v == '{' && t.kind == structKind:
			return p.structure(b, t, depth)
		case v == '{' && t.kind == mapKind:
			return p.dict(b, t, depth)
		case v == '{':
			return p.special(b, t)
		}
		return nil, p.wrongf("a list or an object, want %s", t.text)
	}
	if b, err = t.scalar(b, tok); err != nil {
		return nil, p.wrong(err)
	}
	return b, nil
}

// scalar appends a bool, a number or a string as t is stored.
func (t *typ) scalar(b []byte, tok json.Token) ([]byte, error) {
	switch v := tok.(type) {
	case bool:
		if t.kind == boolKind {
			return msgp.AppendBool(b, v), nil
		}
		return nil, t.wrong(strconv.FormatBool(v))
	case json.Number:
		return t.literal(b, v.String())
	case string:
		return t.textOf(b, v)
	}
	return nil, t.wrong(fmt.Sprint(tok))
}

// literal appends a number or a bool.
func (t *typ) literal(b []byte, text string) ([]byte, error) {
	switch t.kind {
	case boolKind:
		if text == "true" || text == "false" {
			return msgp.AppendBool(b, text == "true"), nil
		}
	case intKind:
		v, err := strconv.ParseInt(text, 10, t.bits)
		if errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("%s does not fit into %s", shorten(text), t.text)
		}
		if err == nil {
			return msgp.AppendInt64(b, v), nil
		}
	case uintKind:
		v, err := strconv.ParseUint(text, 10, t.bits)
		if errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("%s does not fit into %s", shorten(text), t.text)
		}
		if err == nil {
			return msgp.AppendUint64(b, v), nil
		}
	case floatKind:
		v, err := strconv.ParseFloat(text, t.bits)
		if err != nil {
			return nil, fmt.Errorf("%s does not fit into %s", shorten(text), t.text)
		}
		return t.appendFloat(b, v), nil
	}
	return nil, t.wrong(text)
}

// textOf appends what is written as a string.
func (t *typ) textOf(b []byte, text string) ([]byte, error) {
	switch t.kind {
	case stringKind:
		return msgp.AppendString(b, text), nil
	case bytesKind:
		v, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || strings.ContainsAny(text, "\r\n") {
			return nil, fmt.Errorf("%s is no base64", shorten(text))
		}
		return msgp.AppendBytes(b, v), nil
	case timeKind:
		v, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, fmt.Errorf("%s is no time; write it as 2006-01-02T15:04:05Z", shorten(text))
		}
		return gen.AppendTime(b, v), nil
	case uuidKind:
		v, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err == nil && len(v) == 16 && formatUUID([16]byte(v)) == strings.ToLower(text) {
			return gen.AppendUUID(b, [16]byte(v)), nil
		}
	}
	return nil, t.wrong(text)
}

// special reads an object with one name that begins with $, whose { was read: a value that JSON has no form for.
func (p *parser) special(b []byte, t *typ) (_ []byte, err error) {
	n := 0
	err = p.members(func(name string) error {
		n++
		if n > 1 {
			return p.wrongf("an object, want %s", t.text)
		}
		b, err = p.specialOf(b, name, t)
		return err
	})
	if err == nil && n != 1 {
		err = p.wrongf("an object, want %s", t.text)
	}
	return b, err
}

func (p *parser) specialOf(b []byte, name string, t *typ) ([]byte, error) {
	switch {
	case name == "$bytes" && (t.kind == stringKind || t.kind == bytesKind):
		v, err := p.base64()
		switch {
		case err != nil:
			return nil, err
		case t.kind == stringKind:
			return msgp.AppendStringFromBytes(b, v), nil
		}
		return msgp.AppendBytes(b, v), nil
	case name == "$float" && t.kind == floatKind:
		text, err := p.string()
		if err != nil {
			return nil, err
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !math.IsNaN(v) && !math.IsInf(v, 0) {
			return nil, p.wrongf(`%s; want "NaN", "+Inf" or "-Inf"`, shorten(text))
		}
		return t.appendFloat(b, v), nil
	case name == "$time" && t.kind == timeKind:
		v, err := p.time()
		return gen.AppendTime(b, v), err
	}
	return nil, p.wrongf("an object with the name %s, want %s", shorten(name), t.text)
}

// string reads a string.
func (p *parser) string() (string, error) {
	tok, err := p.next()
	if err != nil {
		return "", err
	}
	text, ok := tok.(string)
	if !ok {
		return "", p.wrongf("want a string")
	}
	return text, nil
}

// base64 reads a string of base64.
func (p *parser) base64() ([]byte, error) {
	text, err := p.string()
	if err != nil {
		return nil, err
	}
	v, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, p.wrongf("%s is no base64", shorten(text))
	}
	return v, nil
}

// time reads a time: as text, or as seconds and nanoseconds.
func (p *parser) time() (v time.Time, err error) {
	tok, err := p.next()
	if err != nil {
		return v, err
	}
	if text, ok := tok.(string); ok {
		if v, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return v, p.wrongf("%s is no time; write it as 2006-01-02T15:04:05Z", shorten(text))
		}
		return v, nil
	}
	if tok != json.Delim('[') {
		return v, p.wrongf("want a time, or [seconds, nanoseconds]")
	}
	var parts [2]int64
	n := 0
	err = p.elements(func(i int) (err error) {
		tok, err := p.next()
		if err != nil {
			return err
		}
		number, _ := tok.(json.Number)
		if n++; i < 2 {
			parts[i], err = strconv.ParseInt(number.String(), 10, 64)
		}
		if err != nil {
			return p.wrongf("want a whole number")
		}
		return nil
	})
	if err == nil && (n != 2 || parts[1] < 0 || parts[1] >= int64(time.Second)) {
		err = p.wrongf("want [seconds, nanoseconds]")
	}
	return time.Unix(parts[0], parts[1]).UTC(), err
}

// rawJSON reads a value that is kept as JSON text.
func (p *parser) rawJSON(b []byte) ([]byte, error) {
	p.at = p.dec.InputOffset()
	var v json.RawMessage
	if err := p.dec.Decode(&v); err != nil {
		return nil, p.syntax(err)
	}
	if bytes.HasPrefix(v, []byte(`{"$bytes":`)) {
		in, err := newParser(v)
		if err != nil {
			return nil, err
		}
		in.path = p.path
		in.next()
		b, err := in.special(b, &typ{kind: stringKind, text: "json"})
		if err != nil {
			return nil, p.wrong(err)
		}
		return b, nil
	}
	if string(v) == "null" {
		return msgp.AppendNil(b), nil
	}
	return gen.AppendJSON(b, v), nil
}

func (p *parser) list(b []byte, t *typ, depth int) ([]byte, error) {
	var elements []byte
	n := 0
	err := p.elements(func(i int) (err error) {
		n++
		elements, err = p.value(elements, t.elem, depth+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	if t.kind != sliceKind && n != t.len {
		return nil, p.wrongf("%d elements, want %d", n, t.len)
	}
	return append(msgp.AppendArrayHeader(b, uint32(n)), elements...), nil
}

// An entry is one entry of a map.
type entry struct{ key, value []byte }

// dict reads a map whose { was read. Maps are stored in the order of their keys.
func (p *parser) dict(b []byte, t *typ, depth int) ([]byte, error) {
	var entries []entry
	err := p.members(func(name string) (err error) {
		if name == "$map" {
			entries, err = p.pairs(t, depth)
			if err == nil && p.dec.More() {
				err = p.wrongf("other names beside $map")
			}
			return err
		}
		var e entry
		if strings.HasPrefix(name, "$") {
			return p.wrongf(`the name %s begins with $; write the map as {"$map":[[key,value],…]}`, shorten(name))
		}
		switch t.key.kind {
		case stringKind, uuidKind, timeKind:
			e.key, err = t.key.textOf(nil, name)
		default:
			e.key, err = t.key.literal(nil, name)
		}
		if err != nil {
			return p.wrong(err)
		}
		e.value, err = p.value(nil, t.elem, depth+1)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	order := component{typ: t.key}
	sorted := make([][]byte, len(entries)) // as keys, whose order is that of the values
	for i, e := range entries {
		if sorted[i], _, err = order.append(nil, e.key); err != nil {
			return nil, p.wrong(err)
		}
	}
	places := make([]int, len(entries))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(i, j int) int { return bytes.Compare(sorted[i], sorted[j]) })
	b = msgp.AppendMapHeader(b, uint32(len(entries)))
	for i, at := range places {
		if i > 0 && bytes.Equal(sorted[at], sorted[places[i-1]]) {
			return nil, p.wrongf("a key of the map is there twice")
		}
		b = append(append(b, entries[at].key...), entries[at].value...)
	}
	return b, nil
}

// pairs reads the entries of a map that is written as a list of pairs.
func (p *parser) pairs(t *typ, depth int) (entries []entry, err error) {
	if tok, err := p.next(); err != nil || tok != json.Delim('[') {
		return nil, cmp.Or(err, p.wrongf("want a list of pairs"))
	}
	err = p.elements(func(int) error {
		if tok, err := p.next(); err != nil || tok != json.Delim('[') {
			return cmp.Or(err, p.wrongf("want a pair"))
		}
		var e entry
		n := 0
		err := p.elements(func(i int) (err error) {
			n++
			switch i {
			case 0:
				e.key, err = p.value(nil, t.key, depth+1)
			case 1:
				e.value, err = p.value(nil, t.elem, depth+1)
			default:
				err = p.wrongf("want a pair")
			}
			return err
		})
		if err == nil && n != 2 {
			err = p.wrongf("want a pair")
		}
		entries = append(entries, e)
		return err
	})
	return entries, err
}

// structure reads a struct whose { was read. Fields that are not there have their zero values.
func (p *parser) structure(b []byte, t *typ, depth int) ([]byte, error) {
	found := make([][]byte, len(t.fields))
	var unknown []byte
	more := uint32(0)
	err := p.members(func(name string) (err error) {
		at := slices.IndexFunc(t.fields, func(f field) bool { return f.name == name })
		switch {
		case at >= 0 && t.fields[at].typ.kind != droppedKind:
			found[at], err = p.value(nil, t.fields[at].typ, depth+1)
			return err
		case at >= 0:
			_, err = p.any(nil, depth+1) // it would be dropped when it is read
			return err
		case name != "$unknown":
			return p.wrongf("there is no such field%s", t.nearest(name))
		}
		tok, err := p.next()
		if err != nil || tok != json.Delim('{') {
			return cmp.Or(err, p.wrongf("want an object"))
		}
		return p.members(func(name string) (err error) {
			if t.field(name) != nil {
				return p.wrongf("the field is known")
			}
			more++
			unknown, err = p.any(msgp.AppendString(unknown, name), depth+2)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	b = msgp.AppendMapHeader(b, uint32(t.kept())+more)
	for i := range t.fields {
		f := &t.fields[i]
		if f.typ.kind == droppedKind {
			continue
		}
		b = msgp.AppendString(b, f.name)
		if found[i] == nil {
			b = f.typ.appendZero(b)
		} else {
			b = append(b, found[i]...)
		}
	}
	return append(b, unknown...), nil
}

// nearest returns a hint at the field that was meant.
func (t *typ) nearest(name string) string {
	var names []string
	for _, f := range t.fields {
		if f.typ.kind != droppedKind {
			names = append(names, f.name)
		}
	}
	return hint.Nearest(name, names...)
}

// any reads a value without a type, as appendAny wrote it.
func (p *parser) any(b []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, p.wrong(errDeep)
	}
	tok, err := p.next()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case nil:
		return msgp.AppendNil(b), nil
	case bool:
		return msgp.AppendBool(b, v), nil
	case string:
		return msgp.AppendString(b, v), nil
	case json.Number:
		if text := v.String(); !strings.ContainsAny(text, ".eE") {
			if i, err := strconv.ParseInt(text, 10, 64); err == nil {
				return msgp.AppendInt64(b, i), nil
			}
			if u, err := strconv.ParseUint(text, 10, 64); err == nil {
				return msgp.AppendUint64(b, u), nil
			}
		}
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			return nil, p.wrongf("%s does not fit into float64", shorten(v.String()))
		}
		return msgp.AppendFloat64(b, f), nil
	}
	var inner []byte
	n := uint32(0)
	if tok == json.Delim('[') {
		err := p.elements(func(int) (err error) {
			n++
			inner, err = p.any(inner, depth+1)
			return err
		})
		return append(msgp.AppendArrayHeader(b, n), inner...), err
	}
	special := false
	err = p.members(func(name string) (err error) {
		if n++; special || n > 1 && strings.HasPrefix(name, "$") {
			return p.wrongf("other names beside one that begins with $")
		}
		if special = strings.HasPrefix(name, "$"); special {
			inner, err = p.anySpecial(name, depth)
			return err
		}
		inner, err = p.any(msgp.AppendString(inner, name), depth+1)
		return err
	})
	if special {
		return append(b, inner...), err
	}
	return append(msgp.AppendMapHeader(b, n), inner...), err
}

func (p *parser) anySpecial(name string, depth int) ([]byte, error) {
	switch name {
	case "$raw":
		v, err := p.base64()
		if err != nil {
			return nil, err
		}
		if rest, err := gen.Skip(v); err != nil || len(rest) > 0 {
			return nil, p.wrongf("this is not one MessagePack value")
		}
		return v, nil
	case "$bytes":
		return p.specialOf(nil, name, &typ{kind: bytesKind})
	case "$float":
		return p.specialOf(nil, name, &typ{kind: floatKind, bits: 64})
	case "$time":
		return p.specialOf(nil, name, &typ{kind: timeKind})
	}
	return nil, p.wrongf("the name %s begins with $, and means nothing here", shorten(name))
}
