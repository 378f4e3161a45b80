package boltstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

const (
	crashWriters = 16
	crashMerge   = 25 // rows that start a merge: several a second
	crashKeep    = 3  // lookup rows a writer leaves behind
)

// Each writer g commits batches n = 1, 2, 3, …; batch n moves the counter of g
// from n-1 to n, adds a cell and a posting, adds a lookup row, and removes the
// lookup row of n-crashKeep. So the counter tells exactly what must be there.

func hashed(g, n int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", g, n))
	return sum[:]
}

func crashBatch(b *store.Batch, g, n int) {
	b.RequireAbsent(storetest.Postings, hashed(g, n))
	b.Add(storetest.Lookup, be64(g), 1, int64(n), int64(n))
	b.Put(storetest.Ledger, be64(g), be64(n))
	b.Put(storetest.Cells, append(be64(g), be64(n)...), hashed(g, n))
	b.Put(storetest.Postings, hashed(g, n), be64(n))
	b.Put(storetest.Lookup, hashed(g, n), be64(n))
	if n > crashKeep {
		b.Delete(storetest.Lookup, hashed(g, n-crashKeep))
	}
}

func crashOptions(dir string) (boltstore.Options, error) {
	aead, err := fixedKey()
	return boltstore.Options{
		Path: dir + "/values.db", Tables: storetest.Tables(), Seal: sealer{aead}, MergeRows: crashMerge,
	}, err
}

// crashChild opens the store and commits until it is killed. It writes 16
// bytes for each acknowledged batch.
func crashChild(dir string) error {
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
	return crashWrite(s)
}

// crashWrite commits until it fails.
func crashWrite(s *boltstore.Store) error {
	errs := make(chan error)
	for g := range crashWriters {
		go func() { errs <- crashWriter(s, g) }()
	}
	return <-errs
}

func crashWriter(s *boltstore.Store, g int) error {
	ctx := context.Background()
	var rows store.Rows
	if err := s.Get(ctx, []store.Key{{Table: storetest.Ledger, Key: be64(g)}}, &rows); err != nil {
		return err
	}
	n := 0
	if v, ok := rows.Value(0); ok {
		n = int(binary.BigEndian.Uint64(v))
	}
	for {
		n++
		if err := commit(ctx, s, func(b *store.Batch) { crashBatch(b, g, n) }); err != nil {
			return fmt.Errorf("writer %d, batch %d: %w", g, n, err)
		}
		if _, err := os.Stdout.Write(append(be64(g+1), be64(n)...)); err != nil {
			return err
		}
	}
}

// TestKilled kills a writing process again and again, at its start, while it
// opens the store and while it commits and merges.
func TestKilled(t *testing.T) {
	const rounds = 24
	dir := t.TempDir()
	var acked [crashWriters]int
	random := rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	for round := range rounds {
		after := 0 // acknowledgements before the kill; 0: while it opens
		if round%4 != 0 {
			after = 1 + random.IntN(600)
		}
		runAndKill(t, childCommand(t, "crash", dir), after, &acked)
		checkCrashed(t, dir, &acked)
		if t.Failed() {
			t.Fatalf("in round %d, killed after %d acknowledgements", round, after)
		}
	}
	total := 0
	for _, n := range acked {
		total += n
	}
	t.Logf("%d batches survived %d kills", total, rounds)
}

func runAndKill(t *testing.T, cmd *exec.Cmd, after int, acked *[crashWriters]int) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var killed sync.Once
	kill := func() { killed.Do(func() { _ = cmd.Process.Kill() }) }
	defer kill()
	record := make([]byte, 16)
	for got := 0; ; got++ {
		if got == after+1 || got == 1 && after == 0 {
			kill()
		}
		// What was written before the kill still comes out of the pipe.
		if _, err := io.ReadFull(out, record); err != nil {
			break
		}
		if g := int(binary.BigEndian.Uint64(record)); g > 0 {
			acked[g-1] = int(binary.BigEndian.Uint64(record[8:]))
		}
	}
	_ = cmd.Wait() // killed
	if cmd.ProcessState.Exited() {
		t.Fatalf("the child ended on its own: %v", cmd.ProcessState)
	}
}

func checkCrashed(t *testing.T, dir string, acked *[crashWriters]int) {
	t.Helper()
	o, err := crashOptions(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, o)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if s.ScatteredLost() {
		t.Error("the scattered rows count as lost")
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for g := range crashWriters {
		var rows store.Rows
		keys := []store.Key{{Table: storetest.Ledger, Key: be64(g)}, {Table: storetest.Lookup, Key: be64(g)}}
		if err := s.Get(t.Context(), keys, &rows); err != nil {
			t.Fatal(err)
		}
		n := 0
		v, ok := rows.Value(0)
		w, wok := rows.Value(1)
		if ok != wok || !bytes.Equal(v, w) {
			t.Errorf("writer %d: the ordered table counts %x, the scattered one %x", g, v, w)
		}
		if ok {
			n = int(binary.BigEndian.Uint64(v))
		}
		if n != acked[g] && n != acked[g]+1 {
			t.Errorf("writer %d: batch %d was acknowledged, the store has %d", g, acked[g], n)
		}
		acked[g] = n // what was in flight may have been applied
		checkWriter(t, s, g, n)
	}
}

// checkWriter compares all rows of a writer with what its counter says, one
// batch beyond it included.
func checkWriter(t *testing.T, s *boltstore.Store, g, counter int) {
	t.Helper()
	var keys []store.Key
	for n := 1; n <= counter+1; n++ {
		keys = append(keys,
			store.Key{Table: storetest.Cells, Key: append(be64(g), be64(n)...)},
			store.Key{Table: storetest.Postings, Key: hashed(g, n)},
			store.Key{Table: storetest.Lookup, Key: hashed(g, n)})
	}
	var rows store.Rows
	if err := s.Get(t.Context(), keys, &rows); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= counter+1; n++ {
		want := [3]bool{n <= counter, n <= counter, n <= counter && n > counter-crashKeep}
		for j, name := range []string{"cell", "posting", "lookup row"} {
			v, ok := rows.Value(3*(n-1) + j)
			if ok != want[j] {
				t.Errorf("writer %d at %d: the %s of batch %d exists: %v, want %v", g, counter, name, n, ok, want[j])
			}
			if text := [3][]byte{hashed(g, n), be64(n), be64(n)}[j]; ok && !bytes.Equal(v, text) {
				t.Errorf("writer %d: the %s of batch %d has another value", g, name, n)
			}
		}
	}
}
