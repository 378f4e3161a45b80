package audit_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// childEnv, when set, makes the test binary a child of one of the tests below:
// "append DIR", "publish DIR", "prune DIR" or "full DIR".
const childEnv = "CLOAKROOM_AUDIT_CHILD"

func TestMain(m *testing.M) {
	switch mode, dir := os.Getenv(childEnv), os.Getenv(childEnv+"_DIR"); mode {
	case "append":
		os.Exit(report(appendForEver(dir)))
	case "publish":
		os.Exit(report(publishForEver(dir)))
	case "prune":
		os.Exit(report(pruneForEver(dir)))
	case "full":
		os.Exit(report(fillDisk(dir)))
	}
	goleak.VerifyTestMain(m)
}

func report(err error) (exit int) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func child(t *testing.T, mode, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childEnv+"="+mode, childEnv+"_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// killChild starts a child, reads some of its lines, and kills it a moment
// later.
func killChild(t *testing.T, mode, dir string, lines int) {
	t.Helper()
	cmd := child(t, mode, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for range lines {
		scanner.Scan()
	}
	for spin := rand.IntN(1 << 24); spin > 0; spin-- {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for scanner.Scan() {
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
}

// appendForEver appends under sixteen goroutines and prints the index and id
// of each acknowledged entry.
func appendForEver(dir string) error {
	log, err := audit.Open(dir, audit.Options{SegmentSize: 32 << 10})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range 16 {
		go func() {
			for n := 0; ; n++ {
				e := entry((worker + n) % 20)
				index, err := log.Append(e).Wait(context.Background())
				if err != nil {
					failed <- err
					return
				}
				// One write, shorter than a pipe's atomic size.
				if _, err := fmt.Fprintf(os.Stdout, "%d %x\n", index, e.ID); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// TestKill kills a program with SIGKILL while it appends, again and again.
func TestKill(t *testing.T) {
	const rounds = 25
	dir, promised := filepath.Join(t.TempDir(), "audit"), acked{}
	for round := range rounds {
		cmd := child(t, "append", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The moment comes from the number of lines: 0 hits recovery itself.
		lines := bufio.NewScanner(out)
		for range rand.IntN(600) * min(round, 1) {
			if !lines.Scan() {
				break
			}
			promised.note(t, lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // acknowledged before it died
			promised.note(t, lines.Text())
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("round %d: the child was not killed: %v", round, err)
		}
		log, err := audit.Open(dir, small)
		if err != nil {
			t.Fatalf("round %d: open: %v", round, err)
		}
		promised.verify(t, log)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	if len(promised) == 0 {
		t.Error("nothing was ever acknowledged")
	}
	t.Logf("%d entries acknowledged in %d rounds", len(promised), rounds)
}

// note notes one line of the child.
func (a acked) note(t *testing.T, line string) {
	t.Helper()
	var index uint64
	var id string
	if _, err := fmt.Sscanf(line, "%d %s", &index, &id); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 16 {
		t.Fatalf("line %q: %v", line, err)
	}
	if _, twice := a[index]; twice {
		t.Errorf("entry %d is acknowledged twice", index)
	}
	a[index] = [16]byte(b)
}

// fillDisk lowers the limit of file sizes, which writes meet as they meet a
// full disk, and lifts it again.
func fillDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	log, err := audit.Open(dir, audit.Options{SegmentSize: 64 << 10})
	if err != nil {
		return err
	}
	acknowledged := uint64(0)
	fill := func(n int) (failed error) {
		for range n {
			index, err := log.Append(entry(10)).Wait(context.Background())
			if err != nil {
				failed = err
				continue
			}
			if index != acknowledged {
				return fmt.Errorf("index %d after %d", index, acknowledged)
			}
			acknowledged++
		}
		return failed
	}
	if err := fill(20); err != nil {
		return fmt.Errorf("before the disk is full: %w", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 16 << 10, Max: limit.Max}); err != nil {
		return err
	}
	if err := fill(500); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("on a full disk: %v", err)
	}
	if err := log.Healthy(); !errors.Is(err, audit.ErrUnavailable) {
		return fmt.Errorf("healthy on a full disk: %v", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for log.Healthy() != nil {
		runtime.Gosched()
	}
	if err := fill(500); err != nil {
		return fmt.Errorf("after there is room again: %w", err)
	}
	if log.Size() != acknowledged {
		return fmt.Errorf("%d entries, %d acknowledged", log.Size(), acknowledged)
	}
	if err := log.Close(); err != nil {
		return err
	}
	fmt.Println(acknowledged)
	return nil
}

func TestDiskFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	out, err := child(t, "full", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	log := open(t, dir, audit.Options{})
	if got := fmt.Sprintln(log.Size()); got != string(out) {
		t.Errorf("%s entries, %s acknowledged", got, out)
	}
}

// TestLockedByAnotherProcess holds that the lock is the system's, and ends
// with the process that has it.
func TestLockedByAnotherProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	cmd := child(t, "append", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the child says nothing")
	}
	wg.Go(func() {
		for lines.Scan() {
		}
	})
	if _, err := audit.Open(dir, small); !errors.Is(err, audit.ErrLocked) {
		t.Errorf("open beside another process: %v", err)
	}
	_ = cmd.Process.Kill()
	wg.Wait()
	_ = cmd.Wait()
	open(t, dir, small)
}
