//go:build !unix

package pgtest

// A Server is a PostgreSQL server with its data in a temporary directory. None is started on this operating system.
type Server struct{}

// Start makes a new server.
func Start(...string) (*Server, error) { return nil, ErrNoBinaries }

// URL returns the URL of the server's own database.
func (s *Server) URL() string { return "" }

// Stop stops the server and removes its data.
func (s *Server) Stop() error { return nil }
