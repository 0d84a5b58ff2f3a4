package peers

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Every peer has a process of its own, so that none is disturbed by the heap of another one, and so that it can be killed. It
// is told what to do on its standard input, a line of JSON each, and answers on its standard output.

// childVariable is the environment variable that makes a process that of a peer.
const childVariable = "KIXX_BENCH_PEER"

// An order says what a child is to do.
type order struct {
	Do        string // open, load, learn, warm, measure, memory, compact, close, check
	Dir       string
	Options   Options
	N         int
	Operation string
	Span      time.Duration
	Profile   string // a file for a profile of the processor; "" for none
}

// An answer is what a child says.
type answer struct {
	Error    string
	Measured Measured
	Count    int   // of documents
	Versions int64 // the sum over all documents
	Written  int64 // writes that have returned
	Heap     int64 // bytes of live objects, less what there was before the peer
	Cached   int64 // of them in caches that have budgets, if the peer tells
	RSS      int64 // bytes that are not of files
}

// Child does what a child does and ends the process, if it is one. Commands and tests that use [Run] call it first.
func Child() {
	name := os.Getenv(childVariable)
	if name == "" {
		return
	}
	if err := serve(name, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(name string, in io.Reader, out io.Writer) error {
	list, err := Select([]string{name})
	if err != nil {
		return err
	}
	orders, answers := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	s := server{kind: list[0]}
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var a answer
		if err := s.obey(o, &a); err != nil {
			a.Error = fmt.Sprintf("%s: %s: %v", name, o.Do, err)
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// A server is the peer of a child.
type server struct {
	kind Kind
	work *work
	heap int64 // before there was a peer
}

func (s *server) obey(o order, a *answer) (err error) {
	switch o.Do {
	case "check":
		return checkPeer(s.kind, o.Dir, o.N)
	case "open":
		s.heap = heap()
		p := s.kind.New()
		cpu, began := ownCPU(), time.Now()
		if err := p.Open(o.Dir, o.Options); err != nil {
			return err
		}
		// Some read first what others have read before Open returns.
		if _, err := p.Get(itemID(0)); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		a.Measured = Measured{Count: 1, Wall: float64(time.Since(began)), CPU: float64(ownCPU() - cpu)}
		old := s.work
		s.work = newWork(p, o.N)
		if s.work.n = o.N; old != nil {
			s.work.written.Store(old.written.Load())
		}
		return nil
	case "load":
		cpu, began := ownCPU(), time.Now()
		if err := s.work.load(); err != nil {
			return err
		}
		n := float64(o.N)
		a.Measured = Measured{Count: int64(o.N), Wall: float64(time.Since(began)) / n, CPU: float64(ownCPU()-cpu) / n}
	case "learn":
		a.Count, a.Versions, err = s.work.learn()
		return err
	case "warm":
		return s.work.warm()
	case "measure":
		op, err := FindOperation(o.Operation)
		if err != nil {
			return err
		}
		if err := s.work.prepare(op); err != nil {
			return err
		}
		stop, err := profile(o.Profile)
		if err != nil {
			return err
		}
		a.Measured, err = s.work.measure(op, o.Span)
		a.Written = s.work.written.Load()
		return errors.Join(err, stop())
	case "memory":
		a.Heap = heap() - s.heap
		a.RSS, err = anonymous()
		if c, ok := s.work.peer.(Cacher); ok {
			a.Cached = c.Cached()
		}
		return err
	case "compact":
		return s.work.peer.(Compacter).Compact()
	case "close":
		p := s.work.peer
		s.work.peer = nil
		return p.Close()
	default:
		return errors.New("there is no such order")
	}
	return nil
}

// profile begins a profile of the processor in a file, which stop ends.
func profile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// heap returns the bytes of live objects.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// anonymous returns the bytes of memory of this process that belong to no file.
func anonymous() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // not on this system
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no RssAnon")
}

// A child is the process of a peer, as its parent has it.
type child struct {
	kind    Kind
	cmd     *exec.Cmd
	in      io.WriteCloser
	orders  *json.Encoder
	answers *json.Decoder
}

// start starts the process of a peer. It runs under the command around, if there is one.
func start(k Kind, around ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(around, self)
	c := &child{kind: k, cmd: exec.Command(args[0], args[1:]...)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+k.Name)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.orders, c.answers = json.NewEncoder(c.in), json.NewDecoder(bufio.NewReader(out))
	return c, c.cmd.Start()
}

// ask gives an order and waits for the answer.
func (c *child) ask(o order) (a answer, err error) {
	if err := c.orders.Encode(o); err != nil {
		return a, fmt.Errorf("%s: %w", c.kind.Name, err)
	}
	if err := c.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("%s: %s: no answer: %w", c.kind.Name, o.Do, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// kill ends the process as a crash does.
func (c *child) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// end lets the process end.
func (c *child) end() error {
	c.in.Close()
	return c.cmd.Wait()
}

// diskUse returns the bytes that the files under dir take on the disk.
func diskUse(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512
		} else {
			total += info.Size()
		}
		return nil
	})
	return total, err
}
