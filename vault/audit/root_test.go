package audit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// TestRootAt: files of the tree and entries of the log give the root that
// package tlog gives.
func TestRootAt(t *testing.T) {
	const entries = 600 // three tiles
	dir := filepath.Join(t.TempDir(), "audit")
	signer, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	log := open(t, dir, audit.Options{})
	if err := log.Publish(t.Context(), []*tree.Signer{signer}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		log.Append(numbered(i))
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = open(t, dir, audit.Options{})
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	roots := map[uint64]tlog.Hash{}
	err = log.Read(0, func(index uint64, raw []byte) error {
		stored, err := tlog.StoredHashes(int64(index), raw, reader)
		if err != nil {
			return err
		}
		hashes = append(hashes, stored...)
		roots[index+1], err = tlog.TreeHash(int64(index+1), reader)
		return err
	})
	if err != nil || len(roots) != entries {
		t.Fatal(err, len(roots))
	}
	check := func(from string) {
		t.Helper()
		for _, size := range []uint64{1, 2, 3, 255, 256, 257, 511, 512, 599, 600} {
			got, err := log.RootAt(t.Context(), size, signer.VerifierKey())
			if err != nil || got != roots[size] {
				t.Errorf("from %s, %d entries: %x, %v", from, size, got, err)
			}
		}
		if _, err := log.RootAt(t.Context(), entries+1, signer.VerifierKey()); !errors.Is(err, audit.ErrCorrupt) {
			t.Errorf("from %s, more than there are: %v", from, err)
		}
	}
	check("the tree")
	if _, err := log.RootAt(t.Context(), 1, "no key"); !errors.Is(err, tree.ErrKey) {
		t.Errorf("a key that is none: %v", err)
	}
	// A tree that another signed is as good as none.
	other, err := tree.NewSigner("cloakroom.vault/test", seedKey(2))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := log.RootAt(t.Context(), 300, other.VerifierKey()); err != nil || got != roots[300] {
		t.Errorf("by another key: %x, %v", got, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, audit.TreeDir)); err != nil {
		t.Fatal(err)
	}
	check("the entries")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.RootAt(ctx, 2, signer.VerifierKey()); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

// TestRootAtOfAPrunedLog: the tree's files are enough, and without them nobody
// can tell.
func TestRootAtOfAPrunedLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	log := agedLog(t, dir, small, 700)
	key, err := log.VerifierKey()
	if err != nil {
		t.Fatal(err)
	}
	size := log.Size()
	before, err := log.RootAt(t.Context(), size, key)
	if err != nil {
		t.Fatal(err)
	}
	first, err := log.Prune(t.Context(), until(700))
	if err != nil || first == 0 {
		t.Fatalf("pruned up to %d, %v", first, err)
	}
	after, err := log.RootAt(t.Context(), size, key)
	if err != nil || after != before {
		t.Errorf("%x before and %x after, %v", before, after, err)
	}
	// A size that the checkpoint does not cover yet is left to the entries.
	if _, err := log.RootAt(t.Context(), log.Size()+1, key); !errors.Is(err, audit.ErrCorrupt) {
		t.Errorf("without a tree of that size: %v", err)
	}
}
