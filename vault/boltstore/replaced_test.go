package boltstore

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// These tests stand between two instructions of a reader, where only the
// inside of the package can bring them.

func newFile(t *testing.T, name string) *file {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	var fsyncs atomic.Uint64
	if err := createFile(path, &fsyncs, func(*bbolt.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	f, err := openFile(path, &fsyncs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close() })
	return f
}

// TestReaderFindsFileClosed: the file is replaced and closed after a reader
// has taken it and before it begins.
func TestReaderFindsFileClosed(t *testing.T) {
	old, fresh := newFile(t, "old"), newFile(t, "fresh")
	var s Store
	s.values.Store(old)
	last, err := old.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	var closing, started, done sync.WaitGroup
	closing.Go(func() { _ = old.db.Close() }) // waits for the last reader, and makes new ones wait
	for range 8 {
		started.Add(1)
		done.Go(func() {
			started.Done()
			if err := s.view(func(tx *bbolt.Tx) error { return nil }); err != nil {
				t.Errorf("a reader gets %v", err)
			}
		})
	}
	started.Wait()
	for range 10_000 {
		runtime.Gosched() // let the readers take the old file
	}
	s.values.Store(fresh)
	if err := last.Rollback(); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	closing.Wait()
}

// TestHeldFileStaysOpen: while a snapshot reads the file that was replaced,
// nobody waits to close it: a reader that took it before would wait as well.
func TestHeldFileStaysOpen(t *testing.T) {
	s, err := Open(Options{
		Path:   filepath.Join(t.TempDir(), "values.db"),
		Tables: []store.Table{{Number: 1, Name: "cells", Kind: store.Ordered}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	held, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := s.current()
	if _, _, err := s.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		runtime.Gosched()
	}
	if err := old.view(func(*bbolt.Tx) error { return nil }); err != nil {
		t.Errorf("a reader that took the file before gets %v", err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
}

// TestLockedFileHasItsName: the file gets another one's name between the two
// system calls that open and lock it.
func TestLockedFileHasItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "values.db")
	for _, name := range []string{path, path + ".compact"} {
		if err := os.WriteFile(name, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened := 0
	h, err := lockFile(path, func() (*os.File, error) {
		h, err := os.Open(path)
		if opened++; opened == 1 && err == nil {
			err = os.Rename(path+".compact", path)
		}
		return h, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	b := make([]byte, 200)
	n, err := h.Read(b)
	if string(b[:n]) != path+".compact" || opened != 2 {
		t.Errorf("opened %d times, got the file that was %q, %v", opened, b[:n], err)
	}
}
