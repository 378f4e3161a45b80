package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// dieEnv names the step, and after a colon the how-manieth, at which a child
// kills itself.
const dieEnv = "BOLTSTORE_TEST_DIE"

// compactChild commits as crashChild does, and compacts all the while.
func compactChild(dir string) error {
	o, err := crashOptions(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(make([]byte, 16)); err != nil { // about to open
		return err
	}
	s, err := boltstore.Open(o)
	if err != nil {
		return err
	}
	s.SetCopyRows(100)
	if step, nth, ok := strings.Cut(os.Getenv(dieEnv), ":"); ok {
		left, err := strconv.Atoi(nth)
		if err != nil {
			return err
		}
		s.OnStep(func(name string) {
			if name != step {
				return
			}
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		})
	}
	errs := make(chan error)
	go func() { errs <- crashWrite(s) }()
	go func() {
		for {
			if _, _, err := s.Compact(context.Background()); err != nil {
				errs <- fmt.Errorf("compact: %w", err)
				return
			}
		}
	}()
	return <-errs
}

// TestKilledCompacting kills a process that commits and compacts, at random
// and at each step.
func TestKilledCompacting(t *testing.T) {
	dir := t.TempDir()
	var acked [crashWriters]int
	random := rand.New(rand.NewPCG(2, uint64(os.Getpid())))
	round := func(name, die string, after int) {
		cmd := childCommand(t, "compact", dir)
		cmd.Env = append(cmd.Env, dieEnv+"="+die)
		runAndKill(t, cmd, after, &acked)
		checkCrashed(t, dir, &acked)
		if left, err := filepath.Glob(filepath.Join(dir, "*.compact")); err != nil || left != nil {
			t.Errorf("left behind: %v, %v", left, err)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	for _, step := range boltstore.Steps {
		for nth := range 2 { // scattered, values
			die := fmt.Sprintf("%s:%d", step, nth+1)
			round("killed when "+die, die, 1<<30)
		}
	}
	for range 5 {
		after := 1 + random.IntN(500)
		round(fmt.Sprintf("killed after %d acknowledgements", after), "", after)
	}
}

// TestCompactFull: with no room for the copy nothing changes, and commits go
// on.
func TestCompactFull(t *testing.T) {
	cmd := childCommand(t, "compact full", t.TempDir())
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func compactFullChild(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	o, err := crashOptions(dir)
	if err != nil {
		return err
	}
	s, err := boltstore.Open(o)
	if err != nil {
		return err
	}
	const n = 30
	value := make([]byte, 100<<10)
	for i := range n {
		err := commit(ctx, s, func(b *store.Batch) {
			b.Put(storetest.Cells, be64(i), value)
			b.Put(storetest.Lookup, be64(i), value)
			b.Put(storetest.Ledger, be64(i), nil)
		})
		if err != nil {
			return err
		}
	}
	if err := s.Drain(ctx); err != nil {
		return err
	}
	for _, limit := range []uint64{0, 8 << 10, 200 << 10, 1 << 20} {
		if err := limitFiles(limit); err != nil {
			return err
		}
		_, _, err := s.Compact(ctx)
		if err := limitFiles(unix.RLIM_INFINITY); err != nil {
			return err
		}
		if !errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrBroken) {
			return fmt.Errorf("with room for %d bytes: %w, want ErrFull", limit, err)
		}
		if err := s.Healthy(); err != nil {
			return err
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*.compact")); err != nil || left != nil {
			return fmt.Errorf("left behind: %v, %w", left, err)
		}
		for _, table := range []uint8{storetest.Cells, storetest.Lookup} {
			if err := sees(s, table, n); err != nil {
				return err
			}
		}
		if err := commit(ctx, s, func(b *store.Batch) { b.Put(storetest.Postings, be64(int(limit)), nil) }); err != nil {
			return fmt.Errorf("commit afterwards: %w", err)
		}
		if err := s.Drain(ctx); err != nil {
			return err
		}
	}
	if _, _, err := s.Compact(ctx); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	for _, table := range []uint8{storetest.Cells, storetest.Lookup} {
		if err := sees(s, table, n); err != nil {
			return err
		}
	}
	if err := s.Check(ctx); err != nil {
		return err
	}
	return s.Close()
}
