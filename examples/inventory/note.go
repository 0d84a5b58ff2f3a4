package inventory

import (
	"time"

	kixx "github.com/kixxgen/kixxgen/runtime"
)

// Note is a remark on an item, as the present version of the application has it: its title was called name in package
// before, it has got stars, and a note is marked when it is deleted. Documents of package before are read as these.
//
//kixx:entity
type Note struct {
	ID        string     `json:"id" kixx:"key"`
	Rev       kixx.Rev   `json:"_rev" kixx:"rev"`
	ItemID    string     `json:"itemId" kixx:"index"`
	Title     string     `json:"title" kixx:"was=name,merge=theirs" validate:"required"`
	Stars     int        `json:"stars" kixx:"default=3,merge=max"`
	Labels    []string   `json:"labels" kixx:"merge=union"`
	Text      string     `json:"text"`
	DeletedAt *time.Time `json:"deletedAt,omitempty" kixx:"deleted"`
}
