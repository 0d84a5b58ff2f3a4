package filestore

import (
	"fmt"
	"os"
	"strings"

	"github.com/kixxgen/kixxgen/runtime/store"
)

// lock takes the lock of the directory. Closing the file gives it back; the file itself is never removed, since the
// next owner may have it open already.
//
// The error is a [*store.LockedError] with what the owner wrote about itself.
func (s *Store) lock() error {
	f, err := s.fs.OpenFile(lockName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	err = f.Lock()
	if err == ErrHeld {
		locked := &store.LockedError{Path: s.dir}
		text := make([]byte, 512)
		n, _ := f.ReadAt(text, 0) // who it is does not matter enough to fail differently
		locked.PID, locked.Host = parseOwner(string(text[:n]))
		err = locked
	}
	if err != nil {
		f.Close()
		return err
	}
	s.lockFile = f
	host, _ := os.Hostname() // unknown is as good as empty
	text := formatOwner(os.Getpid(), host)
	_, err = f.WriteAt([]byte(text), 0)
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if err != nil {
		// The lock is held all the same; only the message to a second process is poorer, for example on a full disk.
		s.log.Warn("filestore: cannot write the owner into the lock file", "dir", s.dir, "err", err)
	}
	return nil
}

// The lock file holds the process id and the host, in one line.
func formatOwner(pid int, host string) string { return fmt.Sprintf("%d %s\n", pid, host) }

func parseOwner(text string) (pid int, host string) {
	line, _, _ := strings.Cut(text, "\n")
	if _, err := fmt.Sscanf(line, "%d", &pid); err != nil || pid < 0 {
		return 0, ""
	}
	_, host, _ = strings.Cut(line, " ")
	return pid, host
}
