package peers

import (
	"errors"
	"os"
	"path/filepath"
)

func init() {
	register(Kind{Name: "append", Module: "", How: "floor of one durable writer: 512 bytes are appended to a file, which is synced (fdatasync where there is one)", New: func() Peer { return new(appended) }, Floor: true, Only: "set-sync-1", Empty: true})
}

// appended is a file that is only appended to.
type appended struct {
	f   *os.File
	buf [512]byte
}

func (p *appended) Open(dir string, _ Options) (err error) {
	p.f, err = os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return err
}

func (p *appended) Set(*Item) error {
	if _, err := p.f.Write(p.buf[:]); err != nil {
		return err
	}
	return syncData(p.f)
}

func (p *appended) Load(int, func(i int) *Item) error { return nil }
func (p *appended) Get(string) (*Item, error)         { return nil, ErrNotFound }
func (p *appended) Update(string, func(*Item)) error  { return errors.ErrUnsupported }
func (p *appended) Page(string, string, int) ([]*Item, string, error) {
	return nil, "", errors.ErrUnsupported
}
func (p *appended) Scan(func(*Item)) error { return errors.ErrUnsupported }
func (p *appended) Close() error           { return p.f.Close() }
