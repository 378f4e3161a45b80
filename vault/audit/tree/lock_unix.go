//go:build unix

package tree

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes the right to replace the checkpoint, until release is called. A
// publisher and who adds cosignatures hold it for one replacement each.
func (d folder) lock() (release func(), err error) {
	f, err := os.Open(string(d))
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock the checkpoint: %w", err)
	}
	return func() { _ = f.Close() }, nil // closing gives the lock back
}
