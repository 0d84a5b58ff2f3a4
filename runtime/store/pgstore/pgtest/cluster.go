//go:build unix

package pgtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Cluster is a primary and standbys that follow it. A commit is acknowledged when the primary and one standby have it,
// so each acknowledged commit outlives the loss of any one of them. The test is what decides who is primary.
type Cluster struct {
	Primary  *Server
	Standbys []*Server
}

// clusterSettings make a server one that can be primary and standby.
var clusterSettings = []string{"wal_keep_size=512MB", "wal_retrieve_retry_interval=200ms", "max_wal_size=256MB",
	"synchronous_standby_names=ANY 1 (*)", "hot_standby_feedback=off", "wal_receiver_status_interval=1s"}

// StartCluster makes a primary with standbys.
func StartCluster(standbys int) (*Cluster, error) {
	c := new(Cluster)
	primary, err := prepare(append([]string{"fsync=on"}, clusterSettings...))
	if err != nil {
		return nil, err
	}
	c.Primary = primary
	err = errors.Join(primary.initdb(), primary.Begin())
	for range standbys {
		if err == nil {
			err = c.Join()
		}
	}
	if err == nil {
		err = c.synced(standbys)
	}
	if err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Join adds a standby, with the data of the primary.
func (c *Cluster) Join() error {
	s, err := prepare(c.Primary.settings)
	if err != nil {
		return err
	}
	c.Standbys = append(c.Standbys, s)
	if err := s.run("pg_basebackup", "-D", s.data(), "-d", c.Primary.conninfo(), "-R", "-c", "fast", "-X", "stream"); err != nil {
		return err
	}
	return s.Begin()
}

// conninfo is how a standby finds s.
func (s *Server) conninfo() string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres", s.port)
}

// URL returns a URL that finds the server that is primary.
func (c *Cluster) URL() string {
	var hosts []string
	for _, s := range append([]*Server{c.Primary}, c.Standbys...) {
		hosts = append(hosts, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	}
	return "postgres://postgres@" + strings.Join(hosts, ",") + "/postgres?sslmode=disable&target_session_attrs=read-write&connect_timeout=2"
}

// Failover makes the standby that has received most the primary, after the primary has gone, and has the others follow
// it. It returns the old one, which stays away.
func (c *Cluster) Failover() (old *Server, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*startTimeout)
	defer cancel()
	best, received := -1, ""
	for i, s := range c.Standbys {
		var lsn string
		if err := s.queryRow(ctx, "select lpad(split_part(l, '/', 1), 8, '0') || lpad(split_part(l, '/', 2), 8, '0') from (select pg_last_wal_receive_lsn()::text as l) as r", &lsn); err == nil && lsn > received {
			best, received = i, lsn
		}
	}
	if best < 0 {
		return nil, errors.New("no standby can be asked what it has received")
	}
	old, c.Primary = c.Primary, c.Standbys[best]
	c.Standbys = append(c.Standbys[:best:best], c.Standbys[best+1:]...)
	// Not to be waited for by the statement itself: its snapshot can be in the way of what is still to be replayed.
	var promoted bool
	if err := c.Primary.queryRow(ctx, "select pg_promote(false)", &promoted); err != nil || !promoted {
		return old, fmt.Errorf("promoting a standby: %v, %w", promoted, err)
	}
	for standby := true; standby; {
		if err := c.Primary.queryRow(ctx, "select pg_is_in_recovery()", &standby); err != nil {
			return old, fmt.Errorf("waiting for the new primary: %w", err)
		}
	}
	for _, s := range c.Standbys {
		if err := s.follow(ctx, c.Primary); err != nil {
			return old, err
		}
	}
	return old, nil
}

// follow makes a standby follow another primary.
func (s *Server) follow(ctx context.Context, primary *Server) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// The text is made of a number of a port and nothing else that could be foreign.
	if _, err := conn.Exec(ctx, "alter system set primary_conninfo = '"+primary.conninfo()+"'", pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "select pg_reload_conf()")
	return err
}

// Rejoin makes an old primary a standby, with the data of the primary: what it may have had that nobody acknowledged is gone.
func (c *Cluster) Rejoin(old *Server) error {
	if err := errors.Join(old.Crash(), os.RemoveAll(old.data())); err != nil {
		return err
	}
	c.Standbys = append(c.Standbys, old)
	if err := old.run("pg_basebackup", "-D", old.data(), "-d", c.Primary.conninfo(), "-R", "-c", "fast", "-X", "stream"); err != nil {
		return err
	}
	return old.Begin()
}

// synced returns when n standbys follow.
func (c *Cluster) synced(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		var have int
		if err := c.Primary.queryRow(ctx, "select count(*) from pg_stat_replication where state = 'streaming'", &have); err != nil || have >= n {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d standbys follow the primary", have, n)
		}
	}
}

func (s *Server) queryRow(ctx context.Context, sql string, into any) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, sql).Scan(into)
}

// Stop stops all servers and removes their data.
func (c *Cluster) Stop() error {
	var errs []error
	for _, s := range append([]*Server{c.Primary}, c.Standbys...) {
		if s != nil {
			errs = append(errs, s.Crash(), s.Stop())
		}
	}
	return errors.Join(errs...)
}

// Pause stops all processes of the server, which keep their connections, until Resume.
func (s *Server) Pause() error { return s.signalAll(syscall.SIGSTOP) }

// Resume lets them go on.
func (s *Server) Resume() error { return s.signalAll(syscall.SIGCONT) }

func (s *Server) signalAll(sig syscall.Signal) error {
	pids := []int{s.process.Process.Pid}
	// Its children are sessions of their own; those that come while we look are of no matter.
	for pid := range s.children() {
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// children yields the processes of the server but for its first, with what /proc says of each.
func (s *Server) children() iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		list, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return
		}
		for _, name := range list {
			text, err := os.ReadFile(name)
			if err != nil {
				continue // it has ended
			}
			pid, fields, ok := processOf(string(text))
			if ok && fields[1] == strconv.Itoa(s.process.Process.Pid) && !yield(pid, fields) {
				return
			}
		}
	}
}

// CPU returns the processor time that the processes which are connected now have used, on Linux.
func (s *Server) CPU() (sum time.Duration) {
	const tick = time.Second / 100 // of what /proc counts, whatever the kernel's own is
	for _, fields := range s.children() {
		for _, f := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(f, 10, 64)
			if err == nil {
				sum += time.Duration(n) * tick
			}
		}
	}
	return sum
}

// processOf reads /proc/…/stat, "pid (name) state parent …": fields begins with the state.
func processOf(stat string) (pid int, fields []string, ok bool) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 1 || end < 0 {
		return 0, nil, false
	}
	fields = strings.Fields(stat[end+1:])
	pid, err := strconv.Atoi(strings.TrimSpace(stat[:open]))
	return pid, fields, err == nil && len(fields) > 12
}
