// Package storetest holds every storage engine to the contract of
// vault/store.
//
// An engine's own tests call Run with a way to make an empty store. The suite
// covers reads, scans, commits, limits at plus and minus one, conflicts,
// atomicity, isolation between concurrent callers, cancellation and closing,
// and compares long random histories with vault/memstore. What an engine
// offers beyond (store.Snapshotter, store.Compactor, store.Drainer) is tested
// when it does. After each test it asks the engine to check itself.
//
// It does not cover what the contract leaves to the engine: crashes, damaged
// files and full disks are tested beside the engine that has them.
package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Numbers of the tables the suite works on; see Tables.
const (
	Cells    uint8 = 1   // ordered
	Ledger   uint8 = 2   // ordered
	Lookup   uint8 = 3   // scattered
	Postings uint8 = 255 // scattered, the highest number there is
)

// Tables returns the declarations every store under test is opened with.
func Tables() []store.Table {
	return []store.Table{
		{Number: Cells, Name: "cells", Kind: store.Ordered},
		{Number: Ledger, Name: "ledger", Kind: store.Ordered},
		{Number: Lookup, Name: "lookup", Kind: store.Scattered},
		{Number: Postings, Name: "postings", Kind: store.Scattered},
	}
}

// An Engine tells the suite how to make stores.
type Engine struct {
	// Open returns a new, empty store with the tables of Tables. The suite
	// closes it.
	Open func(t testing.TB) store.Store
	// Reopen closes s and returns a store with the same content. Nil for an
	// engine that keeps nothing.
	Reopen func(t testing.TB, s store.Store) store.Store
}

// Run runs the whole suite as subtests of t.
func Run(t *testing.T, e Engine) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, e Engine)
	}{
		{"Get", testGet},
		{"GetManyKeys", testGetManyKeys},
		{"GetRefusesWrongUse", testGetUsage},
		{"Scan", testScan},
		{"ScanPages", testScanPages},
		{"ScanRefusesWrongUse", testScanUsage},
		{"CommitPutDelete", testPutDelete},
		{"CommitCopiesItsInput", testCopies},
		{"CommitLimits", testLimits},
		{"CommitRefusesWrongUse", testCommitUsage},
		{"Conflicts", testConflicts},
		{"ConflictOrder", testConflictOrder},
		{"Counters", testCounters},
		{"CounterOfWrongLength", testCounterCorrupt},
		{"RejectedBatchLeavesNothing", testRejectedBatch},
		{"PreconditionsSeeStateBefore", testStateBefore},
		{"ConcurrentClaims", testConcurrentClaims},
		{"ConcurrentCounters", testConcurrentCounters},
		{"SnapshotAcrossTables", testSnapshots},
		{"ReadYourWrites", testReadYourWrites},
		{"CancelledContext", testCancelled},
		{"CancelWhileWaiting", testCancelWaiting},
		{"Closed", testClosed},
		{"CloseDuringCommits", testCloseDuringCommits},
		{"Stats", testStats},
		{"Reopen", testReopen},
		{"Snapshot", testSnapshot},
		{"SnapshotEach", testSnapshotEach},
		{"SnapshotClosed", testSnapshotClosed},
		{"SnapshotIsWhole", testSnapshotWhole},
		{"Compact", testCompact},
		{"Drain", testDrain},
		{"Model", testModel},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, e) })
	}
}

// fixture is a store under test with short forms of its calls.
type fixture struct {
	store.Store
	t      *testing.T
	closed bool // the test closes the store itself
}

// newFixture opens a store that is checked and closed when the test ends.
func newFixture(t *testing.T, e Engine) *fixture {
	t.Helper()
	f := &fixture{Store: e.Open(t), t: t}
	t.Cleanup(func() {
		if f.closed {
			return
		}
		if err := f.Check(context.Background()); err != nil {
			t.Errorf("check after the test: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("close after the test: %v", err)
		}
	})
	return f
}

// commit commits what fill puts into a batch.
func (f *fixture) commit(fill func(b *store.Batch)) error {
	var b store.Batch
	fill(&b)
	return f.Commit(f.t.Context(), &b)
}

// must commits and ends the test when that fails.
func (f *fixture) must(fill func(b *store.Batch)) {
	f.t.Helper()
	if err := f.commit(fill); err != nil {
		f.t.Fatalf("commit: %v", err)
	}
}

// put stores one row.
func (f *fixture) put(table uint8, key, value string) {
	f.t.Helper()
	f.must(func(b *store.Batch) { b.Put(table, []byte(key), []byte(value)) })
}

// want fails the test unless the row reads value; a nil value means absent.
func (f *fixture) want(table uint8, key string, value []byte) {
	f.t.Helper()
	var rows store.Rows
	if err := f.Get(f.t.Context(), []store.Key{{Table: table, Key: []byte(key)}}, &rows); err != nil {
		f.t.Fatalf("get: %v", err)
	}
	got, ok := rows.Value(0)
	switch {
	case value == nil && ok:
		f.t.Errorf("table %d: the row %q exists, want it absent", table, key)
	case value != nil && !ok:
		f.t.Errorf("table %d: the row %q is absent", table, key)
	case value != nil && !bytes.Equal(got, value):
		f.t.Errorf("table %d: the row %q reads %q, want %q", table, key, got, value)
	}
}

// wantConflict fails the test unless err is a conflict with these indices.
func (f *fixture) wantConflict(err error, require, write int) {
	f.t.Helper()
	var c *store.ConflictError
	if !errors.As(err, &c) {
		f.t.Errorf("commit: %v, want a conflict", err)
	} else if c.Require != require || c.Write != write {
		f.t.Errorf("conflict names precondition %d and change %d, want %d and %d", c.Require, c.Write, require, write)
	}
}

// eachKind runs fn once for an ordered and once for a scattered table, on a
// store of its own.
func eachKind(t *testing.T, e Engine, fn func(f *fixture, table uint8)) {
	t.Run("ordered", func(t *testing.T) { fn(newFixture(t, e), Cells) })
	t.Run("scattered", func(t *testing.T) { fn(newFixture(t, e), Lookup) })
}

func be64(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
