package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// TestFull fills a store whose files may not grow any more.
func TestFull(t *testing.T) {
	cmd := childCommand(t, "full", t.TempDir())
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// limitFiles sets how long files of this process may get.
func limitFiles(size uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(size, limit.Max)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
}

func fullChild(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	for _, table := range []uint8{storetest.Cells, storetest.Lookup} {
		if err := fullTable(fmt.Sprintf("%s/%d", dir, table), table); err != nil {
			return fmt.Errorf("table %d: %w", table, err)
		}
	}
	return nil
}

func fullTable(dir string, table uint8) error {
	ctx := context.Background()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	o, err := crashOptions(dir)
	if err != nil {
		return err
	}
	s, err := boltstore.Open(o)
	if err != nil {
		return err
	}
	value := make([]byte, 200<<10)
	put := func(i int) error {
		return commit(ctx, s, func(b *store.Batch) {
			b.Put(table, be64(i), value)
			b.Put(storetest.Ledger, be64(i), nil)
		})
	}
	n := 0
	for ; n < 10; n++ {
		if err := put(n); err != nil {
			return err
		}
	}
	info, err := os.Stat(o.Path)
	if err != nil {
		return err
	}
	if err := limitFiles(uint64(info.Size())); err != nil {
		return err
	}
	for err = nil; err == nil; n++ {
		if n > 10_000 {
			return errors.New("the limit is never met")
		}
		err = put(n)
	}
	full := n - 1 // the refused batch
	for range 3 {
		if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrBroken) {
			return fmt.Errorf("over the limit: %w, want ErrFull", err)
		}
		err = put(full)
	}
	if err := sees(s, table, full); err != nil {
		return err
	}
	if err := limitFiles(unix.RLIM_INFINITY); err != nil {
		return err
	}
	// The next transaction takes the number of the one that failed; nothing
	// of that may come to light.
	if err := commit(ctx, s, func(b *store.Batch) { b.Put(storetest.Cells, []byte("small"), nil) }); err != nil {
		return err
	}
	if err := sees(s, table, full); err != nil {
		return err
	}
	if table == storetest.Lookup {
		// A failed merge rests for a while; opening anew does not wait.
		if err := s.Close(); err != nil {
			return err
		}
		if s, err = boltstore.Open(o); err != nil {
			return err
		}
	}
	for range 10 {
		if err := put(full); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
		full++
	}
	for range 2 {
		if err := sees(s, table, full); err != nil {
			return err
		}
		if err := s.Check(ctx); err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
		if s, err = boltstore.Open(o); err != nil {
			return err
		}
	}
	return s.Close()
}

// sees reports a store that does not hold exactly the rows below n.
func sees(s store.Store, table uint8, n int) error {
	for i := range n + 1 {
		var rows store.Rows
		keys := []store.Key{{Table: table, Key: be64(i)}, {Table: storetest.Ledger, Key: be64(i)}}
		if err := s.Get(context.Background(), keys, &rows); err != nil {
			return err
		}
		for j := range keys {
			if _, ok := rows.Value(j); ok != (i < n) {
				return fmt.Errorf("row %d of table %d exists: %v", i, keys[j].Table, ok)
			}
		}
	}
	return nil
}

// TestBroken takes the file away under the store: a write that fails for any
// other reason ends all writing, and reading goes on.
func TestBroken(t *testing.T) {
	o := options(t, t.TempDir())
	s := open(t, o)
	put := func(key string) error {
		return commit(t.Context(), s, func(b *store.Batch) {
			b.Put(storetest.Cells, []byte(key), nil)
			b.Put(storetest.Lookup, []byte(key), nil)
		})
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	readOnly, err := os.Open(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	replaced := false
	for _, fd := range openAs(t, o.Path) {
		if fd != int(readOnly.Fd()) {
			replaced = true
			if err := unix.Dup3(int(readOnly.Fd()), fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !replaced {
		t.Fatal("found no open file of the store")
	}
	for range 3 {
		if err := put("after"); !errors.Is(err, store.ErrBroken) {
			t.Errorf("commit: %v, want ErrBroken", err)
		}
	}
	var rows store.Rows
	keys := []store.Key{{Table: storetest.Cells, Key: []byte("before")}, {Table: storetest.Lookup, Key: []byte("before")}}
	if err := s.Get(t.Context(), keys, &rows); err != nil {
		t.Errorf("get: %v", err)
	}
	for i := range keys {
		if _, ok := rows.Value(i); !ok {
			t.Errorf("the row of table %d is gone", keys[i].Table)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	s = openChecked(t, o)
	if err := put("after"); err != nil {
		t.Errorf("commit after reopening: %v", err)
	}
}

// openAs lists the descriptors under which this process has path open.
func openAs(t *testing.T, path string) (fds []int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == path {
			var fd int
			if _, err := fmt.Sscan(strings.TrimPrefix(l, "/proc/self/fd/"), &fd); err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
		}
	}
	return fds
}
