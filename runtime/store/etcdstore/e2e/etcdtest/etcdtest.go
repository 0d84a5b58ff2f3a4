//go:build unix

// Package etcdtest gives tests an etcd cluster of their own, whose servers they can kill, start again and stop for a while.
//
// Each server is a process: the test binary, which runs itself, with its data in a temporary directory. So there is nothing
// to install, and nothing is left when the tests end, however they do.
//
//	func TestMain(m *testing.M) { os.Exit(etcdtest.Run(m)) }
//
//	func TestSomething(t *testing.T) { url := etcdtest.New(t); … }
package etcdtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// startTimeout is how long a cluster may take until it answers.
const startTimeout = 2 * time.Minute

var (
	once    sync.Once
	shared  *Cluster
	failure error
	made    atomic.Int64
)

// Run runs the tests of a package, and then stops the cluster that they have shared. In a process that is to be a server,
// it is one.
func Run(m interface{ Run() int }) int {
	if config := os.Getenv(memberEnv); config != "" {
		return serve(config)
	}
	code := m.Run()
	if shared != nil {
		shared.Stop()
	}
	return code
}

// servers returns how many servers the shared cluster has. What its tests ask is the same of one as of three, which take
// more than twice the time.
func servers() int {
	if os.Getenv("KIXX_LONG") != "" {
		return 3
	}
	return 1
}

// Shared returns the cluster that all tests of the package share. They leave its servers alone.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	once.Do(func() { shared, failure = Start(servers(), Options{}) })
	if failure != nil {
		t.Fatalf("etcdtest: %v", failure)
	}
	return shared
}

// New returns a URL of an empty place in the shared cluster.
func New(t testing.TB) string {
	t.Helper()
	return Shared(t).New()
}

// Options are what a cluster is started with.
type Options struct {
	Quota int64 // bytes of its database; 0: 2 GiB
	TLS   *TLS  // for its clients; nil: without
}

// TLS are the files of a server's certificate, and if clients must have one too, that of their authority.
type TLS struct{ Cert, Key, ClientCA string }

// A Cluster is a number of servers that know each other. Its methods are for one goroutine.
type Cluster struct {
	dir     string
	members []*member
	tls     bool
}

// A member is what a server is told, and the process that is one.
type member struct {
	Name, Dir, Client, Peer, Cluster string
	Options

	process *exec.Cmd
	ended   chan struct{} // closed when process has
}

const memberEnv = "KIXX_ETCD_MEMBER"

// Start starts a cluster of n new servers and waits until each of them answers.
func Start(n int, o Options) (*Cluster, error) {
	dir, err := os.MkdirTemp("", "kixx-etcd-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, tls: o.TLS != nil}
	ports, err := freePorts(2 * n)
	if err != nil {
		c.Stop()
		return nil, err
	}
	scheme := "http://"
	if c.tls {
		scheme = "https://"
	}
	var all []string
	for i := range n {
		m := &member{Name: fmt.Sprint("n", i), Client: scheme + ports[2*i], Peer: "http://" + ports[2*i+1], Options: o}
		m.Dir = filepath.Join(dir, m.Name)
		all = append(all, m.Name+"="+m.Peer)
		c.members = append(c.members, m)
	}
	for i, m := range c.members {
		m.Cluster = strings.Join(all, ",")
		if err := c.begin(i); err != nil {
			c.Stop()
			return nil, err
		}
	}
	if c.tls {
		return c, nil // who has no certificate cannot ask
	}
	for i := range c.members {
		if err := c.wait(i); err != nil {
			c.Stop()
			return nil, err
		}
	}
	return c, nil
}

// freePorts returns addresses that nobody listens on. A server that is down for a while must find its own free when it comes
// back, so they are below the ports that systems give to connections.
func freePorts(n int) (list []string, err error) {
	const first, last = 10_000, 32_000
	for tries := 0; len(list) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first)))
		switch {
		case err == nil:
			defer l.Close() // when all are known, so that they differ
			list = append(list, l.Addr().String())
		case tries == 1000:
			return nil, err
		}
	}
	return list, nil
}

// begin starts the process of a server.
func (c *Cluster) begin(i int) error {
	m := c.members[i]
	config, err := json.Marshal(m)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	said, err := os.OpenFile(m.Dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer said.Close()
	m.process = exec.Command(self)
	m.process.Env = append(os.Environ(), memberEnv+"="+string(config))
	m.process.Stdout, m.process.Stderr = said, said
	m.process.SysProcAttr = new(syscall.SysProcAttr)
	dieWithParent(m.process.SysProcAttr)
	if err := m.process.Start(); err != nil {
		return err
	}
	m.ended = make(chan struct{})
	go func() { m.process.Wait(); close(m.ended) }()
	return nil
}

// wait waits until a server answers a question to which most of the servers have to agree.
func (c *Cluster) wait(i int) error {
	client, err := c.client(i)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err = client.Get(attempt, "x")
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-c.members[i].ended:
			said, _ := os.ReadFile(c.members[i].Dir + ".log")
			return fmt.Errorf("server %d has ended: %.2000s", i, said)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("server %d does not answer: %w", i, err)
}

// client returns a client of one server, or of all if i is negative.
func (c *Cluster) client(i int) (*clientv3.Client, error) {
	config := clientv3.Config{Logger: zap.NewNop()}
	for at, m := range c.members {
		if i < 0 || i == at {
			config.Endpoints = append(config.Endpoints, m.Client)
		}
	}
	return clientv3.New(config)
}

// Client returns a client of the cluster, which is closed when the test ends.
func (c *Cluster) Client(t testing.TB) *clientv3.Client {
	t.Helper()
	client, err := c.client(-1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// Hosts returns where the servers listen.
func (c *Cluster) Hosts() (hosts []string) {
	for _, m := range c.members {
		_, host, _ := strings.Cut(m.Client, "://")
		hosts = append(hosts, host)
	}
	return hosts
}

// URL returns a URL of a store at a path.
func (c *Cluster) URL(path string) string {
	scheme := "etcd://"
	if c.tls {
		scheme = "etcds://"
	}
	return scheme + strings.Join(c.Hosts(), ",") + "/" + path
}

// New returns a URL of an empty place.
func (c *Cluster) New() string { return c.URL(fmt.Sprint("test/", made.Add(1))) }

// Kill kills a server, which has no time to say good-bye.
func (c *Cluster) Kill(i int) error {
	m := c.members[i]
	if err := m.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-m.ended
	return nil
}

// Restart starts a server again that was killed, and does not wait for it.
func (c *Cluster) Restart(i int) error { return c.begin(i) }

// Wait waits until a server answers.
func (c *Cluster) Wait(i int) error { return c.wait(i) }

// Keep keeps the data of a server that was killed. The function that it returns brings them back, when it was killed again.
func (c *Cluster) Keep(i int) (back func() error, err error) {
	dir := c.members[i].Dir
	kept := dir + ".kept"
	if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
		return nil, err
	}
	return func() error { return errors.Join(os.RemoveAll(dir), os.Rename(kept, dir)) }, nil
}

// Pause stops a server where it stands. Its connections stay.
func (c *Cluster) Pause(i int) error { return c.members[i].process.Process.Signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (c *Cluster) Resume(i int) error { return c.members[i].process.Process.Signal(syscall.SIGCONT) }

// Leader returns which server leads.
func (c *Cluster) Leader() (int, error) {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		for i := range c.members {
			if c.leads(i) {
				return i, nil
			}
		}
		<-time.After(20 * time.Millisecond)
	}
	return 0, errors.New("no server leads")
}

func (c *Cluster) leads(i int) bool {
	client, err := c.client(i)
	if err != nil {
		return false
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	status, err := client.Status(ctx, c.members[i].Client)
	return err == nil && status.Leader == status.Header.MemberId
}

// Stop kills all servers and deletes their data.
func (c *Cluster) Stop() {
	for i, m := range c.members {
		if m.process != nil {
			c.Kill(i)
		}
	}
	os.RemoveAll(c.dir)
}
