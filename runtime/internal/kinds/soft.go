package kinds

import (
	"strings"
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Memo is marked when it is deleted.
//
//kixx:entity
//kixx:view ByWord func=emitMemoWords
type Memo struct {
	ID        string     `json:"id" kixx:"key"`
	Rev       kixx.Rev   `json:"_rev" kixx:"rev"`
	Title     string     `json:"title" kixx:"unique" validate:"required"`
	Folder    string     `json:"folder" kixx:"index"`
	Tags      []string   `json:"tags" kixx:"index"`
	CreatedAt time.Time  `json:"createdAt" kixx:"created"`
	UpdatedAt time.Time  `json:"updatedAt" kixx:"updated,index:desc"`
	DeletedAt *time.Time `json:"deletedAt,omitempty" kixx:"deleted"`
}

func emitMemoWords(m *Memo, emit kixx.Emit[string, int]) {
	for i, word := range strings.Fields(m.Title) {
		emit(word, i)
	}
}
