package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// switchedLog is the audit log of the measured vault, which can be silenced:
// then entries are thrown away and durable at once, as if there were no log.
type switchedLog struct {
	*audit.FileLog
	silent atomic.Pointer[audit.MemoryLog]
}

func (l *switchedLog) wrap(log *audit.FileLog) audit.Log {
	l.FileLog = log
	return l
}

// silence begins to throw entries away. What was thrown away before is
// forgotten.
func (l *switchedLog) silence() { l.silent.Store(audit.Memory()) }

func (l *switchedLog) resume() { l.silent.Store(nil) }

// Append implements audit.Log.
func (l *switchedLog) Append(e *audit.Entry) audit.Receipt {
	if m := l.silent.Load(); m != nil {
		return m.Append(e)
	}
	return l.FileLog.Append(e)
}

// logAnswer is how the log is.
type logAnswer struct {
	Size    uint64  // entries
	Covered uint64  // of them in the index
	Rate    float64 // entries a second
	Floor   float64 // entries a second of a bare log
	Segment float64 // bytes an entry in the segments
	Tree    float64 // bytes an entry in the tree's files
	Index   float64 // bytes an entry in the index

	Behind   uint64        // entries that the index lacked when the last was written
	CaughtUp time.Duration // how long it took then
}

func logNow(node *daemon.Node) logAnswer {
	var a logAnswer
	a.Covered, a.Size = node.Vault.IndexCovered()
	return a
}

// timeEntries writes n entries of one reveal each to the node's published log
// and to a bare one.
func timeEntries(ctx context.Context, node *daemon.Node, n, callers int) (logAnswer, error) {
	before := node.Log.Stats()
	rate, err := closedLoop(n, callers, func() error {
		_, err := node.Log.Append(revealEntry()).Wait(ctx)
		return err
	})
	if err != nil {
		return logAnswer{}, err
	}
	after := node.Log.Stats()
	a := logNow(node)
	a.Behind = a.Size - a.Covered
	begun := time.Now()
	for covered, size := a.Covered, a.Size; covered < size; covered, _ = node.Vault.IndexCovered() {
		if pause(ctx, time.Millisecond); ctx.Err() != nil {
			return a, ctx.Err()
		}
	}
	a.CaughtUp = time.Since(begun)
	a.Rate, a.Segment = rate, float64(after.Bytes-before.Bytes)/float64(after.Entries-before.Entries)
	if a.Floor, err = bareLog(ctx, n, callers); err != nil {
		return a, err
	}
	tree, err := sizeOf(filepath.Join(node.AuditDirectory(), audit.TreeDir))
	if err != nil {
		return a, err
	}
	index, err := sizeOf(node.IndexPath())
	a.Tree, a.Index = float64(tree)/float64(a.Size), float64(index)/float64(a.Size)
	return a, err
}

// revealEntry is the entry of one revealed value.
func revealEntry() *audit.Entry {
	return &audit.Entry{
		Request: "bench-request-1", Principal: "spiffe://cloakroom.example/billing", Action: audit.ActionReveal,
		Purpose: "payment", View: "plain", PolicyVersion: 1, Outcome: audit.Allowed, Count: 1,
		Items: []audit.Item{{Subject: [16]byte{1}, Field: 3, Item: 1, Outcome: audit.Allowed, KeyVersion: 1}},
	}
}

// sizeOf returns the bytes of the files at and below a path.
func sizeOf(path string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // replaced meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}

// auditCallers are the numbers of callers at which the log's cost is measured.
var auditCallers = [...]int{1, 16, 64, 256}

// measureAudit compares reveals with the log and without, in turns, and takes
// the figures of the log itself.
func measureAudit(ctx context.Context, o Options) (_ []Result, err error) {
	p, err := start(ctx, o, 2*o.Subjects+1000)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	l, err := connect(p.hello)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.vault.Close(), l.echo.Close()) }()
	if err := l.touchAll(ctx); err != nil {
		return nil, err
	}
	m := &measuring{ctx: ctx, o: o, p: p, l: l, cached: true}
	var cpu, rate [len(auditCallers)]pairs
	var behind uint64
	for range o.Rounds {
		for i, callers := range auditCallers {
			lag, err := m.auditRound(callers, &cpu[i], &rate[i])
			if err != nil {
				return nil, err
			}
			behind = max(behind, lag)
		}
	}
	var out []Result
	for i, callers := range auditCallers {
		name := fmt.Sprintf("one token, %d callers, with the audit log / without", callers)
		out = append(out, cpu[i].result(name, "us CPU a call", ""), rate[i].result(name, "calls a second", ""))
	}
	sustained, err := m.logRounds(behind)
	return append(out, sustained...), err
}

// auditRound measures reveals with the log and then without. It returns how
// many entries the index lacked right after those with.
func (m *measuring) auditRound(callers int, cpu, rate *pairs) (behind uint64, err error) {
	with, fast, err := m.cost(callers, 1, m.l.batchOf(1))
	if err != nil {
		return 0, err
	}
	a, err := m.p.ask(order{Log: true})
	if err != nil {
		return 0, err
	}
	if _, err := m.p.ask(order{Silent: true}); err != nil {
		return 0, err
	}
	without, faster, err := m.cost(callers, 1, m.l.batchOf(1))
	if err != nil {
		return 0, err
	}
	if _, err := m.p.ask(order{Audited: true}); err != nil {
		return 0, err
	}
	cpu.add(with/1000, without/1000)
	rate.add(fast, faster)
	return a.Log.Size - a.Log.Covered, nil
}

// logRounds takes the figures of the log alone. behind is the most that the
// index was behind right after a round of reveals.
func (m *measuring) logRounds(behind uint64) ([]Result, error) {
	var entries pairs
	var last logAnswer
	var burst uint64
	var caughtUp time.Duration
	for range m.o.Rounds {
		a, err := m.p.ask(order{Entries: m.o.entries(), Callers: 64})
		if err != nil {
			return nil, err
		}
		last = a.Log
		burst, caughtUp = max(burst, last.Behind), max(caughtUp, last.CaughtUp)
		entries.add(last.Rate, last.Floor)
	}
	return []Result{
		entries.result("entries in a published and indexed log, 64 callers / bare log", "a second", ""),
		{Name: "size of an entry of one value", Figure: fmt.Sprintf("%.0f B in segments, %.0f B in the tree, %.0f B in the index", last.Segment, last.Tree, last.Index)},
		{Name: "index behind the log", Figure: fmt.Sprintf("at most %d entries after reveals; %d after a burst of %d, which took %d ms", behind, burst, m.o.entries(), caughtUp.Milliseconds())},
	}, nil
}

// entries is how many entries a round of the log writes.
func (o *Options) entries() int { return max(1000, min(200_000, o.Subjects)) }
