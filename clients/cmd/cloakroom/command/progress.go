package command

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how much of size was done, in bytes where they
// are; a negative size is an unknown one. Elsewhere it shows nothing. done
// clears the line.
func (a *app) progress(doing string, size int64, bytes bool) (at func(int64), done func()) {
	if !a.Terminal {
		return func(int64) {}, func() {}
	}
	bar := progressbar.NewOptions64(max(size, -1),
		progressbar.OptionSetWriter(a.Stderr),
		progressbar.OptionSetDescription(doing),
		progressbar.OptionShowBytes(bytes),
		progressbar.OptionThrottle(100*time.Millisecond),
		// Drawn when it is told to only: otherwise a goroutine stays behind.
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionClearOnFinish(),
	)
	// A bar that cannot be drawn is no reason to fail.
	return func(n int64) { _ = bar.Set64(n) }, func() { _ = bar.Finish(); _ = bar.Clear() }
}
