package kixx_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	kixx "github.com/kixxgen/kixxgen/runtime"
	"github.com/kixxgen/kixxgen/runtime/internal/kinds"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// A backup has the documents of all namespaces, and both of its forms are databases whose indexes fit.
func TestBackupHasAllNamespaces(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	db := must[*kixx.DB](t)(kixx.Open(ctx, "file:"+filepath.Join(dir, "db")))
	defer db.Close()
	acme := must[*kixx.DB](t)(db.Namespace(ctx, "acme"))
	put(t, newItems(t, db), item("a"))
	put(t, newItems(t, acme), item("b"))
	copied := filepath.Join(dir, "copy")
	if err := db.Backup(ctx, copied); err != nil {
		t.Fatal(err)
	}
	check := func(dir string) {
		t.Helper()
		db := must[*kixx.DB](t)(kixx.Open(ctx, "file:"+dir))
		defer db.Close()
		acme := must[*kixx.DB](t)(db.Namespace(ctx, "acme"))
		for key, repo := range map[string]*kinds.ItemRepo{"a": newItems(t, db), "b": newItems(t, acme)} {
			if _, err := repo.Get(ctx, key); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		if err := db.Verify(ctx); err != nil {
			t.Error(err)
		}
	}
	check(copied)
	var archive bytes.Buffer
	if err := db.BackupTo(ctx, &archive); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(dir, "restored")
	if err := filestore.Restore(ctx, restored, &archive); err != nil {
		t.Fatal(err)
	}
	check(restored)
	if err := db.Backup(ctx, copied); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second backup to the same directory: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(ctx, filepath.Join(dir, "late")); !errors.Is(err, kixx.ErrClosed) {
		t.Errorf("a backup of a closed database: %v", err)
	}
}

// A store without a backup says so.
func TestBackupIsNotSupportedByMemory(t *testing.T) {
	db := must[*kixx.DB](t)(kixx.Open(t.Context(), "mem:"))
	defer db.Close()
	for _, err := range []error{db.Backup(t.Context(), t.TempDir()), db.BackupTo(t.Context(), &bytes.Buffer{})} {
		if !errors.Is(err, kixx.ErrNotSupported) || !strings.Contains(err.Error(), "the store mem") {
			t.Errorf("%v, want ErrNotSupported and the name of the store", err)
		}
	}
}
