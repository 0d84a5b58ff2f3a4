package damage

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// fileStore is the file store of kixx. 200 documents are a log alone; compacted makes runs and compacted segments of
// them too.
type fileStore struct{ compacted bool }

func (f fileStore) options() filestore.Options {
	if !f.compacted {
		return filestore.Options{}
	}
	return filestore.Options{SegmentSize: 8 << 10, FlushKeys: 50}
}

func (f fileStore) Fill(dir string, docs []Document) error {
	ctx := context.Background()
	s, err := filestore.Open(ctx, dir, f.options())
	if err != nil {
		return err
	}
	defer s.Close()
	var id uint64
	put := func(d Document, value []byte) error {
		id++
		b := &store.Batch{Ops: []store.Op{{Key: []byte(d.Key), Value: value}}}
		binary.BigEndian.PutUint64(b.ID[:], id)
		_, err := s.Commit(ctx, b)
		return err
	}
	if f.compacted {
		for _, d := range docs {
			if err := put(d, append([]byte("an old one: "), d.Value...)); err != nil {
				return err
			}
		}
	}
	for i, d := range docs {
		if f.compacted && i == len(docs)*3/4 { // the rest is in the log behind the runs
			if err := s.Compact(ctx); err != nil {
				return err
			}
		}
		if err := put(d, d.Value); err != nil {
			return err
		}
	}
	if st := s.Stats(); f.compacted && (st.Flushes == 0 || st.Compactions == 0) {
		return fmt.Errorf("%d flushes, %d compactions: there is too little to compact", st.Flushes, st.Compactions)
	}
	return s.Close()
}

func (f fileStore) Open(dir string) (Reader, error) {
	s, err := filestore.Open(context.Background(), dir, f.options())
	if err != nil {
		return nil, err
	}
	return fileReader{s}, nil
}

type fileReader struct{ *filestore.Store }

func (r fileReader) Get(key string) ([]byte, error) {
	items, err := r.Store.Get(context.Background(), []byte(key))
	if err != nil {
		return nil, err
	}
	if items[0].Version == store.Absent {
		return nil, ErrMissing
	}
	return items[0].Value, nil
}
