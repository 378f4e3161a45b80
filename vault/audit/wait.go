package audit

import (
	"context"
	"sync/atomic"
)

// watch tells those who wait that a log has grown. When nobody waits, telling
// is one load of an atomic.
type watch struct {
	// grown is closed by the next tell; nil while nobody waits.
	grown atomic.Pointer[chan struct{}]
}

// tell wakes all who wait. It comes after the new size can be read.
func (w *watch) tell() {
	if w.grown.Load() == nil {
		return
	}
	if grown := w.grown.Swap(nil); grown != nil {
		close(*grown)
	}
}

// next returns a channel that the next tell closes.
func (w *watch) next() <-chan struct{} {
	for {
		if grown := w.grown.Load(); grown != nil {
			return *grown
		}
		if grown := make(chan struct{}); w.grown.CompareAndSwap(nil, &grown) {
			return grown
		}
	}
}

// wait waits until now() > size, ctx ends, or closed is closed; after that
// now does not change.
func (w *watch) wait(ctx context.Context, size uint64, now func() uint64, closed <-chan struct{}) error {
	for now() <= size {
		grown := w.next()
		if now() > size { // it may have grown before there was a channel to close
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		case <-closed:
			if now() > size {
				return nil
			}
			return ErrClosed
		}
	}
	return nil
}
