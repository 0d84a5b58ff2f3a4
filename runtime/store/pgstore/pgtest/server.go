//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout is how long a server may take until it takes connections.
const startTimeout = 30 * time.Second

// A Server is a PostgreSQL server with its data in a temporary directory. It listens on a port of 127.0.0.1 and trusts
// everybody.
type Server struct {
	bin  string // directory of the binaries
	dir  string
	port int
	as   *syscall.Credential // nil: as the user of this process

	settings []string // name=value

	process *exec.Cmd
	ended   chan struct{} // closed when process has
}

// Start makes a new server. Settings are of the form name=value. Without fsync=on the server loses its data in a power cut,
// which no test makes.
func Start(settings ...string) (*Server, error) {
	s, err := prepare(settings)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.initdb(), s.Begin()); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// prepare makes a server without data.
func prepare(settings []string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, settings: settings}
	if s.as, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "kixx-postgres-"); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// freePort returns a port that nobody listens on. A server that is down for a while must find its own free when it comes back,
// so it is below the ports that systems give to connections.
func freePort() (int, error) {
	const first, last = 10_000, 32_000
	for tries := 0; ; tries++ {
		port := first + rand.IntN(last-first)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
		if tries == 1000 {
			return 0, err
		}
	}
}

// binaries returns the directory with the newest server.
func binaries() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return "", err
		}
		return filepath.Dir(path), nil
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/opt/homebrew/opt/postgresql@*/bin/postgres"} {
		list, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.Sort(list)
		found = append(found, list...)
	}
	if len(found) == 0 {
		return "", ErrNoBinaries
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// unprivileged returns the user to run the server as: it refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

func (s *Server) initdb() error {
	return s.run("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
}

// run runs one of the programs that come with the server.
func (s *Server) run(name string, args ...string) error {
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Begin starts the server, which was stopped with [Server.Crash] or [Server.Shut].
func (s *Server) Begin() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=300", "-c", "fsync=off", "-c", "shared_buffers=64MB"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	s.process = s.command("postgres", args...)
	s.process.Stdout, s.process.Stderr = log, log
	dieWithParent(s.process.SysProcAttr)
	if err := s.process.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func(p *exec.Cmd, ended chan struct{}) {
		p.Wait()
		close(ended)
	}(s.process, s.ended)
	return s.wait()
}

// wait returns when the server takes connections.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-again.C:
		case <-s.ended:
			return fmt.Errorf("the server ended at once:\n%s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("the server does not take connections: %w\n%s", err, s.Log())
		}
	}
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return cmd
}

// URL returns the URL of the server's own database.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	out, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// Crash stops the server in the middle of everything, as if its processes were killed.
func (s *Server) Crash() error { return s.signal(syscall.SIGQUIT) }

// Shut stops the server in an orderly way.
func (s *Server) Shut() error { return s.signal(syscall.SIGINT) }

func (s *Server) signal(sig syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(startTimeout):
		return errors.Join(errors.New("the server does not stop"), s.process.Process.Kill())
	}
}

// Stop stops the server and removes its data.
func (s *Server) Stop() error {
	return errors.Join(s.signal(syscall.SIGINT), os.RemoveAll(s.dir))
}
