package command

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how many bytes of size were read; a negative size
// is an unknown one. Elsewhere it shows nothing. done clears the line.
func (a *app) progress(size int64) (at func(bytes int64), done func()) {
	if !a.Terminal {
		return func(int64) {}, func() {}
	}
	bar := progressbar.NewOptions64(max(size, -1),
		progressbar.OptionSetWriter(a.Stderr),
		progressbar.OptionSetDescription("importing"),
		progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		// Drawn when it is told to only: otherwise a goroutine stays behind.
		progressbar.OptionSetSpinnerChangeInterval(0),
		progressbar.OptionClearOnFinish(),
	)
	// A bar that cannot be drawn is no reason to fail.
	return func(bytes int64) { _ = bar.Set64(bytes) }, func() { _ = bar.Finish(); _ = bar.Clear() }
}
