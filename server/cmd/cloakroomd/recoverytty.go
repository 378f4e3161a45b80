package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// hasWindow tells a terminal, which has a size, from files, pipes and devices
// such as /dev/null, which have none.
func hasWindow(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
