package pgstore_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A fault is what a proxy does to the next statements that a client sends: a commit, or a read.
type fault int

const (
	none     fault = iota
	before         // the connection ends, and the server gets nothing
	half           // the server gets half of it
	during         // the server gets it, and the connection ends at once
	after          // the server has answered, and the answer is lost
	farewell       // as after, and the client hears what a backend says that was told to end
	held           // the connection ends for the client, and the server gets it later, with proxy.release
	faults
)

func (f fault) String() string {
	return [...]string{"none", "before", "half", "during", "after", "farewell", "held"}[f]
}

// A proxy stands between a store and its server.
type proxy struct {
	l      net.Listener
	server string
	work   sync.WaitGroup

	mu    sync.Mutex
	next  fault
	conns []net.Conn
	later []delivery
}

// A delivery is what the server has still to get.
type delivery struct {
	server net.Conn
	bytes  []byte
}

// newProxy returns a proxy and the URL through it.
func newProxy(t *testing.T, direct string) (*proxy, string) {
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, server: u.Host}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

// arm sets what happens to the next statements that come.
func (p *proxy) arm(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = f
}

func (p *proxy) take() fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.next
	p.next = none
	return f
}

// release delivers what was held, and returns when the server has ended the connections, one way or the other.
func (p *proxy) release() {
	p.mu.Lock()
	list := p.later
	p.later = nil
	p.mu.Unlock()
	for _, d := range list {
		d.server.Write(d.bytes)
		d.server.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, d.server)
		d.server.Close()
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.work.Go(func() { p.serve(client, server) })
	}
}

// bind is the type of the message that begins the running of prepared statements.
const bind = 'B'

// ready reports whether b ends with the message that ends an answer. Its last byte says whether a transaction goes on.
func ready(b []byte) bool {
	return len(b) > 5 && bytes.HasSuffix(b[:len(b)-1], []byte("Z\x00\x00\x00\x05"))
}

// serve copies both ways until a fault or an end.
func (p *proxy) serve(client, server net.Conn) {
	answered := make(chan struct{}) // closed when an answer that is to be lost has come
	lose := make(chan struct{})     // closed when the next answer is to be lost
	gone := make(chan struct{})
	p.work.Go(func() {
		defer close(gone)
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			select {
			case <-lose:
				if err != nil || ready(buf[:n]) {
					close(answered)
					return
				}
				continue
			default:
			}
			if err != nil {
				client.Close()
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				client.Close()
				return
			}
		}
	})
	defer client.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			server.Close()
			<-gone
			return
		}
		f := none
		if buf[0] == bind {
			f = p.take()
		}
		switch f {
		case none:
			server.Write(buf[:n])
			continue
		case before:
		case half:
			server.Write(buf[:n/2])
		case during:
			server.Write(buf[:n])
		case after:
			close(lose)
			server.Write(buf[:n])
			<-answered
		case farewell:
			close(lose)
			server.Write(buf[:n])
			<-answered
			m := pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"}
			words, err := m.Encode(nil)
			if err != nil {
				panic(err)
			}
			client.Write(words)
		case held:
			p.mu.Lock()
			p.later = append(p.later, delivery{server, bytes.Clone(buf[:n])})
			p.mu.Unlock()
			return // the server keeps its end
		default:
			panic(fmt.Sprint("fault ", f))
		}
		server.Close()
		<-gone
		return
	}
}
