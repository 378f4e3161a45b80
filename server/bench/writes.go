package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const writeCallers = 64

// writesAnswer is what a run of writes took.
type writesAnswer struct {
	Rate                   float64 // records a second
	Floor                  float64 // entries a second of a bare log with group commit
	Ordered                float64 // ordered rows a second, engine alone
	Values, Keys, AuditLog float64 // fsyncs a record, by file
}

// measureWrites writes new records at 64 callers, in the server process.
func measureWrites(ctx context.Context, o Options) (_ []Result, err error) {
	p, err := start(ctx, o, 2*o.Subjects+1000)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var records, ordered pairs
	var last writesAnswer
	for range o.Rounds {
		a, err := p.ask(order{Writes: 6400, Callers: writeCallers})
		if err != nil {
			return nil, err
		}
		last = a.Writes
		records.add(last.Rate, last.Floor)
		ordered.add(last.Ordered, last.Floor)
	}
	perFile := func(name string, n float64) Result {
		return Result{Name: "fsyncs a new record, 64 callers, " + name, Figure: fmt.Sprintf("%.3f", n), Goal: "<= 0.125"}
	}
	return []Result{
		ordered.result("ordered durable writes, 64 callers / bare log", "a second", ">= 0.3"),
		records.result("new records of 3 values, 64 callers / bare log", "a second", ""),
		perFile("values.db", last.Values), perFile("keys.db", last.Keys), perFile("audit log", last.AuditLog),
	}, nil
}

// timeWrites stores n new persons at a number of callers, each a call of one
// record, and the same number of entries in a bare log and of rows in an
// engine. written counts the persons of earlier runs.
func timeWrites(ctx context.Context, node *daemon.Node, written *atomic.Int64, n, callers int) (writesAnswer, error) {
	var a writesAnswer
	values, keys, log := node.Values.Stats().Fsyncs, node.Keys.Stats().Fsyncs, node.Log.Stats().Fsyncs
	rate, err := closedLoop(n, callers, func() error {
		r, err := node.Vault.PutRecords(ctx, vault.Caller{Principal: shopID}, vault.PutRequest{
			Collection: "customers", Records: []vault.RecordInput{record(1_000_000_000 + int(written.Add(1)))},
		})
		if err == nil && r[0].Err != nil {
			err = r[0].Err
		}
		return err
	})
	if err != nil {
		return a, err
	}
	a.Rate = rate
	a.Values = float64(node.Values.Stats().Fsyncs-values) / float64(n)
	a.Keys = float64(node.Keys.Stats().Fsyncs-keys) / float64(n)
	a.AuditLog = float64(node.Log.Stats().Fsyncs-log) / float64(n)
	if a.Floor, err = bareLog(ctx, n, callers); err != nil {
		return a, err
	}
	a.Ordered, err = orderedRows(ctx, n, callers)
	return a, err
}

// closedLoop makes n calls at a number of callers and returns calls a second.
func closedLoop(n, callers int, call func() error) (float64, error) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	errs := make(chan error, callers)
	begun := time.Now()
	for range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := call(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(begun).Seconds()
	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(n) / took, nil
	}
}

// bareLog appends entries of about 200 bytes to a log of its own.
func bareLog(ctx context.Context, n, callers int) (_ float64, err error) {
	dir, err := os.MkdirTemp("", "cloakroom-bench-log-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log, err := audit.Open(dir, audit.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return closedLoop(n, callers, func() error {
		_, err := log.Append(&audit.Entry{
			Principal: shopID, Action: audit.ActionCreate, Collection: "customers", Outcome: audit.Allowed,
			Items: []audit.Item{{Outcome: audit.Allowed, Hash: [16]byte{1}}, {Outcome: audit.Allowed, Hash: [16]byte{2}}, {Outcome: audit.Allowed, Hash: [16]byte{3}}},
		}).Wait(ctx)
		return err
	})
}

// orderedRows commits rows of 150 bytes in rising order to an engine alone.
func orderedRows(ctx context.Context, n, callers int) (_ float64, err error) {
	dir, err := os.MkdirTemp("", "cloakroom-bench-rows-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "rows.db"), Tables: rows.KeyTables()})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var next atomic.Uint64
	value := make([]byte, 150)
	return closedLoop(n, callers, func() error {
		var b store.Batch
		b.Put(rows.Subjects, rows.RefKey(next.Add(1)), value)
		return s.Commit(ctx, &b)
	})
}
