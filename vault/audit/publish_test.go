package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// publishForEver opens, publishes, fills and closes the log again and again,
// and prints size and root of each checkpoint that Close has published.
func publishForEver(dir string) error {
	s, err := newSigner()
	if err != nil {
		return err
	}
	for {
		log, err := audit.Open(dir, audit.Options{SegmentSize: 32 << 10})
		if err != nil {
			return err
		}
		if err := log.Publish(context.Background(), []*tree.Signer{s}, nil); err != nil {
			return err
		}
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for n := range 25 {
					_, _ = log.Append(entry((worker + n) % 20)).Wait(context.Background())
				}
			})
		}
		wg.Wait()
		if err := log.Close(); err != nil {
			return err
		}
		cp, err := log.Published()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(os.Stdout, "%d %s\n", cp.Size, cp.Root); err != nil {
			return err
		}
	}
}

// TestKillWhilePublishing kills a program with SIGKILL while it publishes. No
// later tree may contradict a checkpoint that was ever to be seen.
func TestKillWhilePublishing(t *testing.T) {
	const rounds = 25
	dir, seen := filepath.Join(t.TempDir(), "audit"), map[uint64]string{}
	s, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	key, err := tree.NewVerifier(s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	reader := tree.NewReader(filepath.Join(dir, audit.TreeDir), key)
	note := func(size uint64, root string) {
		t.Helper()
		if before, ok := seen[size]; ok && before != root {
			t.Errorf("two checkpoints of size %d", size)
		}
		seen[size] = root
	}
	var last []byte
	for round := range rounds {
		cmd := child(t, "publish", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		scan := func() bool {
			if !lines.Scan() {
				return false
			}
			var size uint64
			var root string
			if _, err := fmt.Sscanf(lines.Text(), "%d %s", &size, &root); err != nil {
				t.Fatalf("line %q: %v", lines.Text(), err)
			}
			note(size, root)
			return true
		}
		for range rand.IntN(4) {
			scan()
		}
		// Not always right after a checkpoint: somewhere on the way to the next.
		for spin := rand.IntN(1 << 22); spin > 0; spin-- {
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for scan() {
		}
		_ = cmd.Wait()

		// As the killed program left it.
		cp, err := reader.Checkpoint()
		if errors.Is(err, tree.ErrNoCheckpoint) && len(seen) == 0 {
			continue
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		note(cp.Size, cp.Root.String())
		report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{VerifierKey: s.VerifierKey(), Earlier: last})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		last = report.Checkpoint.Signed
		for size, want := range seen {
			if got, err := reader.Root(size); err != nil || got.String() != want {
				t.Fatalf("round %d: the root at %d is %s, was %s; error %v", round, size, got, want, err)
			}
		}
	}
	if len(seen) < 5 {
		t.Errorf("only %d checkpoints were seen", len(seen))
	}
	t.Logf("%d checkpoints in %d rounds", len(seen), rounds)
}

// TestFollowsSegments holds that what is published in small steps, over the
// borders of segments and after one was given up, is what the log holds.
func TestFollowsSegments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	var earlier []byte
	for step := range 12 {
		published(t, dir, step*7)
		report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{Earlier: earlier})
		if err != nil {
			t.Fatal(err)
		}
		if report.Checkpoint.Size != report.Entries {
			t.Errorf("closed with %d of %d entries covered", report.Checkpoint.Size, report.Entries)
		}
		earlier = report.Checkpoint.Signed
	}
}

// TestPublishesAfterAFault makes the tree's disk refuse in the middle of what
// the follower reads: it must go back in the segment.
func TestPublishesAfterAFault(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	synctest.Test(t, func(t *testing.T) {
		log, err := audit.Open(dir, audit.Options{SegmentSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSigner()
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		blocked := filepath.Join(dir, audit.TreeDir, "tile", "0", "000")
		if err := os.MkdirAll(filepath.Join(blocked, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			if err := waitFor(log.Append(entry(1))); err != nil {
				t.Errorf("publishing fails, and so does the log: %v", err)
			}
		}
		<-time.After(time.Second)
		synctest.Wait()
		if cp, err := log.Published(); err == nil || cp.Size != 0 {
			t.Errorf("checkpoint %+v, error %v", cp, err)
		}
		if err := os.RemoveAll(blocked); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{})
	if err != nil || report.Checkpoint.Size != 300 {
		t.Errorf("report %+v, error %v", report, err)
	}
}

// TestVerifyReadsWhatIsNotCovered forges an entry after the last checkpoint.
func TestVerifyReadsWhatIsNotCovered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	published(t, dir, 5)
	log, err := audit.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := waitFor(log.Append(entry(1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil || report.Entries != 7 || report.Checkpoint.Size != 5 {
		t.Fatalf("report %+v, error %v", report, err)
	}
	last := segments(t, dir)[0]
	last.payloads[6][26] = 0 // the outcome
	last.write(t)
	_, err = audit.Verify(t.Context(), dir, audit.VerifyOptions{})
	if bad := (*audit.CorruptError)(nil); !errors.As(err, &bad) || bad.Index != 6 {
		t.Errorf("found %v", err)
	}
}

// BenchmarkPublish measures appends of 64 callers with the tree and without,
// the last checkpoint included.
func BenchmarkPublish(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("tree=%t", with), func(b *testing.B) {
			log, err := audit.Open(filepath.Join(b.TempDir(), "audit"), audit.Options{})
			if err != nil {
				b.Fatal(err)
			}
			if with {
				s, err := newSigner()
				if err != nil {
					b.Fatal(err)
				}
				if err := log.Publish(b.Context(), []*tree.Signer{s}, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			const callers = 64
			for i := range callers {
				n := b.N / callers
				if i < b.N%callers {
					n++
				}
				wg.Go(func() {
					e := *sample()
					for range n {
						e.ID = [16]byte{}
						if err := waitFor(log.Append(&e)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			if err := log.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "published/s")
		})
	}
}
