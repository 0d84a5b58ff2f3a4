// Package gen has entities whose names are those of packages, types and functions that generated code mentions, of predeclared
// ones, and of what may not be copied. They are here to be compiled, and to be looked at by go vet and staticcheck.
package gen

import (
	"context"
	"sync"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Map holds a lock.
//
//kixx:entity peek
//kixx:index LenCap Len,Cap:desc
//kixx:view Keys func=emitKeys
type Map struct {
	ID     string     `kixx:"key,auto"`
	Rev    kixx.Rev   `kixx:"rev"`
	Len    int        `kixx:"index"`
	Cap    int        `kixx:"index:desc"`
	String string     `kixx:"index"`
	Error  string     `kixx:"unique"`
	Copy   []string   `kixx:"index"`
	Nil    *time.Time `kixx:"index"`
	Any    any
	Func   map[string2]Append
	Kixx   kixx2
	Gen    []kixx2

	// Old is kept for documents from before.
	//
	// Deprecated: use String.
	Old string `kixx:"index"`

	mu    sync.Mutex  `kixx:"-"`
	once  sync.Once   `kixx:"-"`
	cache [2]sync.Map `kixx:"-"`
}

type string2 string

type kixx2 struct {
	Byte  byte
	Value time.Duration
}

// Error is an entity, and error is not.
//
//kixx:entity
type Error struct {
	Key  string         `kixx:"key"`
	Rev  kixx.Rev       `kixx:"rev"`
	R    string         `kixx:"index"`
	B    []byte         `kixx:"index"`
	Ctx  string         `kixx:"index"`
	Type string         `kixx:"index"`
	True bool           `kixx:"index"`
	wait sync.WaitGroup `kixx:"-"`
}

// Append is nested.
type Append struct {
	Len  int
	Iota *Append
}

// Context is an entity beside package context.
//
//kixx:entity
type Context struct {
	Name   string     `kixx:"key"`
	Time   time.Time  `kixx:"key"`
	Rev    kixx.Rev   `kixx:"rev"`
	Done   *time.Time `kixx:"deleted"`
	Err    Append
	Append int `kixx:"index"`
}

// BeforeSet keeps what a lock is for.
func (m *Map) BeforeSet(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.once.Do(func() { m.cache[0].Store(m.ID, m.Len) })
	return nil
}

// Validate waits.
func (e *Error) Validate() error {
	e.wait.Wait()
	return nil
}

func emitKeys(m *Map, emit kixx.Emit[string2, kixx2]) { emit(string2(m.String), m.Kixx) }
