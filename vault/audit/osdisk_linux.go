package audit

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Allocate reserves the room, so that a full disk is found here and not by an
// append.
func (f osFile) Allocate(size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP):
			return f.fill(size)
		default:
			return fmt.Errorf("allocate %d bytes: %w", size, err)
		}
	}
}

// Sync leaves out what a later read does not need, such as the time of change.
func (f osFile) Sync() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
