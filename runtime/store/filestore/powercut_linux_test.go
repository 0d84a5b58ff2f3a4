package filestore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kixxgen/kixxgen/runtime/store"
	"github.com/kixxgen/kixxgen/runtime/store/filestore"
	"golang.org/x/sys/unix"
)

// A loopDisk is an ext4 file system of its own, on a file in memory.
type loopDisk struct {
	t           *testing.T
	dev, mounts string
}

// newLoopDisk makes and mounts one, or skips the test where that cannot be done.
func newLoopDisk(t *testing.T) *loopDisk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("power cuts on a real file system need root, for a loop device and FS_IOC_SHUTDOWN")
	}
	image := filepath.Join(memoryDir(t), "ext4.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("power cuts on a real file system need mkfs.ext4: %v\n%s", err, out)
	}
	out, err := exec.Command("losetup", "-f", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("power cuts on a real file system need a loop device: %v\n%s", err, out)
	}
	d := &loopDisk{t, strings.TrimSpace(string(out)), t.TempDir()}
	t.Cleanup(func() {
		_ = unix.Unmount(d.mounts, 0) // it may not be mounted
		if out, err := exec.Command("losetup", "-d", d.dev).CombinedOutput(); err != nil {
			t.Logf("losetup -d %s: %v\n%s", d.dev, err, out)
		}
	})
	if err := unix.Mount(d.dev, d.mounts, "ext4", 0, ""); err != nil {
		t.Skipf("power cuts on a real file system need to mount one: %v", err)
	}
	return d
}

// cut ends all writing to the disk, without what is in memory of it or in its journal.
func (d *loopDisk) cut() {
	f, err := os.Open(d.mounts)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	const (
		shutdown   = 0x8004587d // FS_IOC_SHUTDOWN
		noLogFlush = 2          // FSOP_GOING_FLAGS_NOLOGFLUSH
	)
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush); err != nil {
		d.t.Skipf("this kernel cannot shut a file system down: %v", err)
	}
}

// remount makes what is on the disk readable again.
func (d *loopDisk) remount() {
	if err := unix.Unmount(d.mounts, 0); err != nil {
		d.t.Fatalf("unmount: %v", err)
	}
	if err := unix.Mount(d.dev, d.mounts, "ext4", 0, ""); err != nil {
		d.t.Fatalf("mount: %v", err)
	}
}

// Power cuts on a real file system, under 8 writers, while runs are written and segments compacted: what was acknowledged
// before the cut is there after it. Without syncs, which is the control, things are lost, but a commit never by half.
func TestPowerCutsOnARealFileSystem(t *testing.T) {
	for _, c := range []struct {
		mode store.DurabilityMode
		cuts int
	}{{store.Sync, size(20, 1000, 20_000)}, {store.NoSync, size(20, 100, 1000)}} {
		t.Run([]string{store.Sync: "Sync", store.NoSync: "NoSync"}[c.mode], func(t *testing.T) {
			d := newLoopDisk(t)
			rng := rand.New(rand.NewPCG(uint64(c.mode), 12))
			var acks, lost, compacted int
			var base [killWriters]int
			// Runs and compactions sync as well: a few cuts may fall where nothing is to be lost.
			cut := 0
			for ; cut < c.cuts || c.mode == store.NoSync && lost == 0 && cut < 10*c.cuts; cut++ {
				o := filestore.Options{SegmentSize: 64 << 10, Reserve: 16 << 10, FlushKeys: 30}
				o.Logger = (&quiet{}).logger()
				o.Durability.Mode = c.mode
				dir := filepath.Join(d.mounts, "db")
				s, err := filestore.Open(bg, dir, o)
				if err != nil {
					t.Fatalf("cut %d: %v", cut, err)
				}
				for w := range killWriters {
					items, err := s.Get(bg, counterKey(w), fmt.Appendf(nil, "doc/%d", w))
					if err != nil {
						t.Fatalf("cut %d: %v", cut, err)
					}
					n, _ := strconv.Atoi(items0(items))
					if n > 0 && !strings.HasPrefix(string(items[1].Value), items0(items)+".") {
						t.Fatalf("cut %d: writer %d: half a commit: counter %d, document %.10q", cut, w, n, items[1].Value)
					}
					if n < base[w] {
						lost++
						if c.mode == store.Sync {
							t.Fatalf("cut %d: writer %d: counter is %d, %d was acknowledged", cut, w, n, base[w])
						}
					}
					base[w] = n
				}
				var acked [killWriters]atomic.Int64
				var wg sync.WaitGroup
				for w := range killWriters {
					wg.Go(func() {
						for n := base[w] + 1; ; n++ {
							if _, err := s.Commit(bg, counterBatch(w, n)); err != nil {
								return
							}
							acked[w].Store(int64(n))
						}
					})
				}
				time.Sleep(time.Duration(rng.IntN(12_000)) * time.Microsecond) // not to wait for anything: the cut comes at any time
				for w := range killWriters {
					if n := int(acked[w].Load()); n > 0 {
						acks += n - base[w]
						base[w] = n
					}
				}
				d.cut()
				n, _ := filestore.Compacted(s)
				compacted += n
				s.Close() // which ends the writers; it cannot write any more
				wg.Wait()
				d.remount()
			}
			proof(t, 3, "cuts", cut, "acknowledged", acks, "lost", lost, "compacted", compacted)
			if acks == 0 || c.mode == store.Sync && c.cuts > 200 && compacted == 0 {
				t.Error("that is no test")
			}
			if c.mode == store.NoSync && lost == 0 {
				t.Error("nothing is lost without syncs: the cuts are none")
			}
		})
	}
}

// A process that is killed at one of its system calls, whichever, loses nothing that it said it had committed.
func TestKilledAtASystemCall(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("killing a process at a system call needs strace")
	}
	dir := filepath.Join(memoryDir(t), "db")
	step, kills, acks, calls := size(20, 1, 1), 0, 0, 0
	for at := 1; ; at += step {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		cmd := child(t, "script", dir)
		inject := fmt.Sprintf("inject=openat,pwrite64,fdatasync,fsync,fallocate,ftruncate,renameat,renameat2,unlinkat:signal=SIGKILL:when=%d", at)
		traced := exec.Command("strace", append([]string{"-f", "-qq", "-o", "/dev/null", "-e", inject}, cmd.Args...)...)
		traced.Env = cmd.Env
		out, err := traced.Output()
		if strings.Contains(string(out), "!") {
			t.Fatalf("killed at call %d: the process says %s", at, out)
		}
		last := strings.Count(string(out), "\n") // one for each commit
		acks += last
		o := filestore.Options{FlushKeys: 10}
		o.Logger = (&quiet{}).logger()
		s, openErr := filestore.Open(bg, dir, o)
		if openErr != nil {
			t.Fatalf("killed at call %d: %v", at, openErr)
		}
		items, getErr := s.Get(bg, counterKey(0))
		if n, _ := strconv.Atoi(items0(items)); getErr != nil || n < last || n > last+1 {
			t.Fatalf("killed at call %d: counter is %d, %v; %d was acknowledged", at, n, getErr, last)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		calls = at
		if err == nil {
			break // the script has fewer calls on every thread
		}
		kills++
	}
	proof(t, 5, "kills", kills, "calls", calls, "acknowledged", acks, "lost", 0)
	if kills < 3 || acks == 0 {
		t.Error("that is no test")
	}
}
