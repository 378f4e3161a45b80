package daemon

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden makes the process leave no core dump and no memory to a debugger of
// the same user.
func Harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("refuse core dumps: %w", err)
	}
	return notDumpable()
}
