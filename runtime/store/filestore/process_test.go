package filestore_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"github.com/kixxgen/kixxgen/runtime/store/filestore/simfs"
)

// The test binary runs itself as the process that is killed, or that finds the lock taken.
const (
	childEnv    = "KIXX_FILESTORE_CHILD"
	childDirEnv = "KIXX_FILESTORE_DIR"
)

// childMain does what the environment asks for, instead of the tests.
func childMain() (code int, ok bool) {
	dir := os.Getenv(childDirEnv)
	switch os.Getenv(childEnv) {
	case "write":
		return childWrite(dir), true
	case "script":
		return childScript(dir), true
	case "open":
		s, err := filestore.Open(bg, dir, filestore.Options{})
		if err == nil {
			s.Close()
		}
		fmt.Println(err)
		return 0, true
	}
	return 0, false
}

// childWrite commits with 8 writers until it is killed. Before a commit it prints "+w n", after it "=w n": writer w is
// about to set, or has set, its counter to n.
func childWrite(dir string) int {
	fmt.Println(".")                                                                           // the time until the kill counts from here, so that it can hit the opening too
	s, err := filestore.Open(bg, dir, filestore.Options{SegmentSize: 64 << 10, FlushKeys: 30}) // with flushes, merges, compactions
	if err != nil {
		fmt.Println("!", err)
		return 1
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format, args...) // no buffer: a pipe keeps what was written when the process dies
	}
	var wg sync.WaitGroup
	for w := range killWriters {
		wg.Go(func() {
			items, err := s.Get(bg, counterKey(w))
			if err != nil {
				say("! %v\n", err)
				return
			}
			n, _ := strconv.Atoi(string(items[0].Value))
			for {
				n++
				say("+%d %d\n", w, n)
				if _, err := s.Commit(bg, counterBatch(w, n)); err != nil {
					say("! %v\n", err)
					return
				}
				say("=%d %d\n", w, n)
			}
		})
	}
	wg.Wait()
	return 1
}

// childScript commits in one thread, with everything that a store does beside it, and prints a line for each commit.
func childScript(dir string) int {
	runtime.LockOSThread()
	for range 2 {
		s, err := filestore.Open(bg, dir, filestore.Options{SegmentSize: 4 << 10, Reserve: 1 << 10, FlushKeys: 10})
		if err != nil {
			fmt.Println("!", err)
			return 1
		}
		items, err := s.Get(bg, counterKey(0))
		n, _ := strconv.Atoi(items0(items))
		for range 30 {
			n++
			if err == nil {
				_, err = s.Commit(bg, counterBatch(0, n))
			}
			if err != nil {
				fmt.Println("!", err)
				return 1
			}
			fmt.Println(n)
		}
		if err := errors.Join(s.Compact(bg), s.Close()); err != nil {
			fmt.Println("!", err)
			return 1
		}
	}
	return 0
}

const killWriters = 8

func counterKey(w int) []byte { return fmt.Appendf(nil, "counter/%d", w) }

// counterBatch sets the counter of a writer, and a document and an entry that must agree with it.
func counterBatch(w, n int) *store.Batch {
	text := strconv.Itoa(n)
	return batch(
		set{key: string(counterKey(w)), value: text},
		set{key: fmt.Sprintf("doc/%d", w), value: text + strings.Repeat(".", 50+n%700)},
		set{key: fmt.Sprintf("entry/%d/%d", w, n%10), value: text},
	)
}

func child(t testing.TB, what, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+what, childDirEnv+"="+dir)
	cmd.Stderr = io.Discard // it logs torn ends
	return cmd
}

// A process that is killed at any moment loses nothing that it said it had committed.
func TestKilledProcessLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	kills := size(15, 200, 2000)
	rng := rand.New(rand.NewPCG(11, 11))
	var acks, pending int
	var acked, begun [killWriters]int
	for kill := range kills {
		cmd := child(t, "write", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(out)
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatalf("kill %d: the process does not start: %v", kill, err)
		}
		timer := time.AfterFunc(time.Duration(rng.IntN(50))*time.Millisecond, func() { cmd.Process.Kill() })
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			var w, n int
			switch {
			case line[0] == '!':
				t.Errorf("kill %d: the process says %s", kill, line)
			case line[0] == '+':
				fmt.Sscanf(line[1:], "%d %d", &w, &n)
				begun[w] = n
			case line[0] == '=':
				fmt.Sscanf(line[1:], "%d %d", &w, &n)
				acked[w] = n
				acks++
			}
		}
		cmd.Wait()
		timer.Stop()

		o := filestore.Options{}
		o.Logger = (&quiet{}).logger()
		s, err := filestore.Open(bg, dir, o)
		if err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		for w := range killWriters {
			items, err := s.Get(bg, counterKey(w), fmt.Appendf(nil, "doc/%d", w))
			if err != nil {
				t.Fatalf("kill %d: %v", kill, err)
			}
			n, _ := strconv.Atoi(string(items[0].Value))
			if n < acked[w] || n > begun[w] {
				t.Fatalf("kill %d: writer %d: counter is %d, acknowledged %d, begun %d", kill, w, n, acked[w], begun[w])
			}
			if n > 0 && !strings.HasPrefix(string(items[1].Value), items0(items)+".") {
				t.Fatalf("kill %d: writer %d: half a commit: counter %d, document %.10q", kill, w, n, items[1].Value)
			}
			if n > acked[w] {
				pending++
			}
			acked[w] = n
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	proof(t, 4, "kills", kills, "acknowledged", acks, "lost", 0, "unacknowledgedButThere", pending)
	if acks == 0 {
		t.Error("no commit was acknowledged: the test shows nothing")
	}
}

func items0(items []store.Item) string { return string(items[0].Value) }

// A second opening is refused, by another process and by this one, and is told who has the directory.
func TestSecondOpenIsLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	s, err := filestore.Open(bg, dir, filestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	_, err = filestore.Open(bg, dir, filestore.Options{})
	var locked *store.LockedError
	if !errors.As(err, &locked) || !errors.Is(err, store.ErrLocked) || locked.PID != os.Getpid() || locked.Host != host || locked.Path != dir {
		t.Errorf("second Open: %v, want a LockedError with process %d on %s", err, os.Getpid(), host)
	}
	out, err := child(t, "open", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("in use by process %d on %s", os.Getpid(), host); !strings.Contains(string(out), want) {
		t.Errorf("Open by another process: %s, want %q", out, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out, err = child(t, "open", dir).Output()
	if err != nil || strings.TrimSpace(string(out)) != "<nil>" {
		t.Errorf("Open by another process after Close: %s, %v", out, err)
	}
}

// The lock is held also where its owner cannot be written into the file.
func TestLockOfAnUnknownOwnerIsHeld(t *testing.T) {
	sim := simfs.New()
	o, _ := simOptions(sim, store.Sync)
	sim.Inject(func(op simfs.Op) *simfs.Fault {
		if op.Kind == "write" && op.Name == "LOCK" {
			return &simfs.Fault{Err: syscall.ENOSPC}
		}
		return nil
	})
	mustOpen(t, o)
	var locked *store.LockedError
	if _, err := filestore.Open(bg, "sim", o); !errors.As(err, &locked) || locked.PID != 0 {
		t.Errorf("second Open: %v, want a LockedError without the owner", err)
	}
}

// Directories and files are for their owner alone.
func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "db")
	o := filestore.Options{SegmentSize: 1 << 10}
	s, err := filestore.Open(bg, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		put(t, s, fmt.Sprint("k", i), strings.Repeat("v", 200))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	err = filepath.Walk(filepath.Dir(dir), func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		}
		if worldReadableMatters && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		n++
		return nil
	})
	if err != nil || n < 6 {
		t.Errorf("%d files, %v", n, err)
	}
}

// A symbolic link in the directory leads nowhere outside.
func TestPlantedLinksLeadNowhere(t *testing.T) {
	for _, name := range []string{"LOCK", "MANIFEST", "MANIFEST.tmp", "seg-00000001.log", "seg-00000001.log.tmp", "RESERVE", "RESERVE2"} {
		outside := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(outside, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Skipf("this system makes no symbolic links for us: %v", err)
		}
		s, err := filestore.Open(bg, dir, filestore.Options{})
		if err == nil {
			put(t, s, "k", "v")
			s.Close()
		}
		if b, _ := os.ReadFile(outside); string(b) != "precious" {
			t.Errorf("%s: the file outside is now %q", name, b)
		}
	}
}
