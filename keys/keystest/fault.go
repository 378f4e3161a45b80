package keystest

import (
	"context"
	"sync"
)

// fault is the error that a double answers with, and what holds its answers
// back.
type fault struct {
	mu      sync.Mutex
	err     error
	hang    bool
	arrived chan struct{} // nil unless slow
	release chan struct{}
}

// Fail makes later calls return err; nil ends that.
func (f *fault) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Hang makes later calls wait until their context ends.
func (f *fault) Hang(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hang = on
}

// Slow makes later calls wait until their context ends or restore is called;
// each says on arrived that it waits. It is Faults.Slow of the doubles.
func (f *fault) Slow() (arrived <-chan struct{}, restore func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, r := make(chan struct{}, 16), make(chan struct{})
	f.arrived, f.release = a, r
	return a, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.arrived, f.release = nil, nil
		close(r)
	}
}

func (f *fault) enter(ctx context.Context) error {
	f.mu.Lock()
	err, hang, arrived, release := f.err, f.hang, f.arrived, f.release
	f.mu.Unlock()
	if arrived != nil {
		select {
		case arrived <- struct{}{}:
		default: // nobody counts them
		}
		select {
		case <-ctx.Done():
		case <-release:
		}
	}
	if hang {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
