package damage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// jobEnv is the environment variable that makes a process a child, and tells it its job.
const jobEnv = "KIXX_DAMAGE_JOB"

// A job is what a child works on.
type job struct {
	Peer      string
	Documents int
	Image     string // the directory with the undamaged database
	Work      string // where damaged copies are made
}

// An answer is what a child says about one flip.
type answer struct {
	Outcome   Outcome
	Detail    string
	Documents int    // that are wrong or missing
	Last      bool   // the process ends here, since it has panicked
	Failed    string // the harness itself could not go on
}

// Child does the work of a child process and exits, if this is one. A program that calls [Run] calls it before anything
// else, with the same peers.
func Child(peers []Peer) {
	text := os.Getenv(jobEnv)
	if text == "" {
		return
	}
	if err := child(text, peers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child answers the flips that come on standard input, each with a copy of its own: a store that could not be opened may
// have left files open, or locked.
func child(text string, peers []Peer) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	selected, err := Select(peers, []string{j.Peer})
	if err != nil {
		return err
	}
	im, err := readImage(j.Image)
	if err != nil {
		return err
	}
	docs := Documents(j.Documents)
	// Stores may print: what the parent reads is out of their way.
	out := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr
	in := json.NewDecoder(os.Stdin)
	for {
		var flip Flip
		if err := in.Decode(&flip); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a := try(selected[0].Store, im, j.Work, flip, docs)
		if err := out.Encode(a); err != nil {
			return err
		}
		if a.Last {
			return nil
		}
	}
}

// try opens a damaged copy below dir and judges it.
func try(s Store, im image, dir string, flip Flip, docs []Document) answer {
	dir, err := os.MkdirTemp(dir, "copy-")
	if err != nil {
		return answer{Failed: err.Error()}
	}
	defer os.RemoveAll(dir)
	if err := im.write(dir, flip); err != nil {
		return answer{Failed: err.Error()}
	}
	v := judge(s, dir, docs)
	a := answer{Last: v.panicked != ""}
	a.Outcome, a.Detail, a.Documents = v.outcome()
	return a
}

// A worker tries flips in a child process, one after the other. It starts another child when one has died.
type worker struct {
	job      job
	patience time.Duration // how long a child may take for one flip
	strays   int           // deaths that could not be repeated

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *tail
	tried  int // flips that this child was given
}

// try returns the answer for a flip. A death counts only if the flip is the first one of its child: what a store left
// running after an earlier flip may be what has died.
func (w *worker) try(ctx context.Context, flip Flip) (answer, error) {
	a, err := w.once(ctx, flip)
	if err == nil && a.Outcome == Died && w.tried > 1 {
		first := a
		if a, err = w.once(ctx, flip); err == nil && a.Outcome != Died {
			w.strays++
			a.Detail = strings.TrimSpace(fmt.Sprintf("%s (a death that did not happen again: %s)", a.Detail, first.Detail))
		}
	}
	if err == nil && a.Failed != "" {
		err = fmt.Errorf("%s, bit %d of byte %d of %q: %s", w.job.Peer, flip.Bit, flip.Offset, flip.File, a.Failed)
	}
	return a, err
}

// once asks the child once.
func (w *worker) once(ctx context.Context, flip Flip) (answer, error) {
	if w.cmd == nil {
		if err := w.start(ctx); err != nil {
			return answer{}, err
		}
	}
	w.tried++
	process := w.cmd.Process
	timer := time.AfterFunc(w.patience, func() { process.Kill() })
	var a answer
	err := json.NewEncoder(w.in).Encode(flip) // if the child has died meanwhile, there is no answer either
	if err == nil {
		err = w.out.Decode(&a)
	}
	late := !timer.Stop()
	switch {
	case ctx.Err() != nil:
		w.stop()
		return answer{}, ctx.Err()
	case err != nil:
		died := w.stop()
		a = answer{Outcome: Died, Detail: w.stderr.cause(died)}
		if late {
			a.Detail = fmt.Sprintf("no answer in %v", w.patience)
		}
	case a.Last:
		w.stop()
	}
	return a, nil
}

// start starts a child.
func (w *worker) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(w.job)
	if err != nil {
		return err
	}
	// What a child that died has left is in nobody's way, but takes space.
	if err := os.RemoveAll(w.job.Work); err != nil {
		return err
	}
	if err := os.MkdirAll(w.job.Work, 0o700); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), jobEnv+"="+string(text))
	w.stderr = &tail{}
	cmd.Stderr = w.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.cmd, w.in, w.out, w.tried = cmd, in, json.NewDecoder(out), 0
	return nil
}

// stop ends the child, if there is one, and returns how it ended.
func (w *worker) stop() error {
	if w.cmd == nil {
		return nil
	}
	w.in.Close()
	err := w.cmd.Wait()
	w.cmd = nil
	return err
}

// A tail keeps the end of what a process prints, long enough for the traces of all goroutines.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	const keep = 64 << 10
	t.text = append(t.text, p...)
	if len(t.text) > 2*keep {
		t.text = append(t.text[:0], t.text[len(t.text)-keep:]...)
	}
	return len(p), nil
}

// cause returns the line that says why a process died, else its last line with how it ended.
func (t *tail) cause(died error) string {
	last := ""
	for line := range strings.Lines(string(t.text)) {
		line = strings.TrimSpace(line)
		for _, sign := range []string{"panic: ", "fatal error: ", "unexpected fault address", "on-disk corruption: "} {
			if strings.Contains(line, sign) {
				return line
			}
		}
		if line != "" {
			last = line
		}
	}
	return fmt.Sprintf("%v: %s", died, last)
}
