package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// A fault is what a proxy does to the next request that a client sends.
type fault int

const (
	none   fault = iota
	before       // the connection ends, and the server gets nothing of it
	half         // the server gets half of it
	during       // the server gets it, and the connection ends at once
	after        // the server has answered, and the answer is lost
	held         // the connection ends for the client, and the server gets it later, with proxy.release
	faults
)

func (f fault) String() string {
	return [...]string{"none", "before", "half", "during", "after", "held"}[f]
}

// A proxy stands between a store and one server. It knows the frames of HTTP/2: a request is one frame of data.
type proxy struct {
	l      net.Listener
	server string
	work   sync.WaitGroup

	mu    sync.Mutex
	next  fault
	conns map[net.Conn]bool
	later []delivery
}

// A delivery is what the server has still to get.
type delivery struct {
	frame  []byte
	send   func(frame []byte) // and wait for the answer
	server net.Conn
}

func newProxy(t testing.TB, server string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, server: server, conns: make(map[net.Conn]bool)}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.drop()
		p.work.Wait()
	})
	return p
}

// through returns the URL of a path through proxies.
func through(path string, list ...*proxy) string {
	u := "etcd://"
	for i, p := range list {
		if i > 0 {
			u += ","
		}
		u += p.l.Addr().String()
	}
	return u + path
}

// arm sets what happens to the next request that comes.
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

// drop ends all connections.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// release delivers what was held, and returns when the server has answered.
func (p *proxy) release() {
	p.mu.Lock()
	list := p.later
	p.later = nil
	p.mu.Unlock()
	for _, d := range list {
		d.send(d.frame)
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
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.work.Go(func() {
			p.serve(client, server)
			client.Close()
			p.mu.Lock()
			delete(p.conns, client)
			p.mu.Unlock()
		})
	}
}

const (
	preface   = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	header    = 9 // bytes in front of a frame: its length, its type, flags, and the stream
	data      = 0 // types
	headers   = 1
	endStream = 1 // flag
)

// frame reads the next frame.
func frame(r io.Reader) ([]byte, error) {
	h := make([]byte, header)
	if _, err := io.ReadFull(r, h); err != nil {
		return nil, err
	}
	f := make([]byte, header+int(h[0])<<16+int(h[1])<<8+int(h[2]))
	copy(f, h)
	_, err := io.ReadFull(r, f[header:])
	return f, err
}

// stream returns the number of the request that a frame belongs to.
func stream(frame []byte) uint32 { return binary.BigEndian.Uint32(frame[5:]) }

// serve copies both ways until a fault or an end.
func (p *proxy) serve(client, server net.Conn) {
	lose := make(chan uint32, 1)    // the request whose answer is to be lost
	answered := make(chan struct{}) // closed when it has come
	quiet := make(chan struct{})
	p.work.Go(func() {
		defer close(quiet)
		defer client.Close()
		lost := uint32(0)
		for {
			f, err := frame(server)
			if err != nil {
				return
			}
			select {
			case lost = <-lose:
			default:
			}
			if lost != 0 {
				if stream(f) == lost && f[3] == headers && f[4]&endStream != 0 {
					close(answered)
					lost = ^uint32(0) // of no request
				}
				continue
			}
			if _, err := client.Write(f); err != nil {
				client.Close() // the server may go on: what it has got, it has got
			}
		}
	})
	gone := func() { server.Close(); <-quiet }
	send := func(f []byte) {
		lose <- stream(f)
		server.Write(f)
		select {
		case <-answered:
		case <-quiet:
		}
	}
	hello := make([]byte, len(preface))
	if _, err := io.ReadFull(client, hello); err != nil {
		gone()
		return
	}
	server.Write(hello)
	for {
		f, err := frame(client)
		if err != nil {
			gone()
			return
		}
		what := none
		if f[3] == data && len(f) > header {
			what = p.take()
		}
		switch what {
		case none:
			server.Write(f)
			continue
		case before:
		case half:
			server.Write(f[:len(f)/2])
		case during:
			server.Write(f)
		case after:
			send(f)
		case held:
			p.mu.Lock()
			p.later = append(p.later, delivery{f, send, server})
			p.mu.Unlock()
			return // the server keeps its end
		default:
			panic(fmt.Sprint("fault ", what))
		}
		gone()
		return
	}
}
