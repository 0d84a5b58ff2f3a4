package datacopy_test

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kixxgen/kixxgen/internal/datacopy"
	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
)

// childEnv names the source, the target is beside it: the process copies, and nothing else.
const childEnv = "KIXX_COPY_SOURCE"

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if dir := os.Getenv(childEnv); dir != "" {
		if err := copyDir(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// copyDir copies the store in dir to the directory beside it, and prints a line for each commit.
func copyDir(dir string) error {
	src, name, err := datacopy.OpenSource(bg, dir, nil)
	if err != nil {
		return err
	}
	dst, err := datacopy.OpenTarget(bg, filepath.Join(filepath.Dir(dir), "copy"), nil)
	if err != nil {
		return err
	}
	dst.OnPublish(func(*store.Batch, store.Version) { fmt.Println("commit") })
	_, err = datacopy.Copy(bg, src, dst, datacopy.Options{Name: name})
	return errors.Join(err, dst.Close(), src.Close())
}

func TestACopyThatIsKilledGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "source")
	src, err := filestore.Open(bg, dir, filestore.Options{Options: store.Options{Durability: store.Durability{Mode: store.NoSync}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		b := &store.Batch{ID: [8]byte{byte(i)}}
		for j := range 1000 {
			b.Ops = append(b.Ops, store.Op{Key: fmt.Appendf(nil, "\x01%02d%04d", i, j), Value: fmt.Appendf(nil, "%0200d", j)})
		}
		if _, err := src.Commit(bg, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for lines := 1; ; lines += 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		scanner := bufio.NewScanner(out)
		seen := 0
		for seen < lines && scanner.Scan() {
			seen++
		}
		killed := seen == lines
		if killed {
			killed = cmd.Process.Kill() == nil
		}
		if killed {
			kills++
		}
		// It had less to do, or was faster than the kill; or the one before was, which leaves a target that is not empty.
		if err := cmd.Wait(); err == nil || !killed {
			break
		}
	}
	from, _, err := datacopy.OpenSource(bg, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := datacopy.OpenTarget(bg, filepath.Join(filepath.Dir(dir), "copy"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	same(t, from, to, &datacopy.Report{Keys: 20_000})
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Errorf("the copy was never killed")
	}
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct{ place, want string }{ // want is what may be shown, or "!" where no store can be
		{"./data", "./data"}, {"/var/a b", "/var/a b"}, {"file:./data", "file:./data"}, {`C:\data`, `C:\data`}, {"a/b:c", "a/b:c"},
		{"", "!"}, {"mem:", "!"}, {"redis://h", "!"}, {"postgres://u:secret@h:1/db?password=secret", "!postgres://h:1/db"},
	} {
		err := datacopy.CheckPlace(c.place)
		if got := datacopy.Shown(c.place); (err != nil) != (c.want[0] == '!') || len(c.want) > 1 && "!"+got != c.want && got != c.want {
			t.Errorf("%q: %v, shown as %q, want %s", c.place, err, got, c.want)
		}
	}
	var driver *datacopy.DriverError
	if err := datacopy.CheckPlace("tikv://h:1/x"); !errors.As(err, &driver) || driver.Scheme != "tikv" {
		t.Errorf("CheckPlace of a driver = %v", err)
	}
	if st, _, err := datacopy.OpenSource(bg, filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenSource of nothing = %v, %v", st, err)
	}
}
