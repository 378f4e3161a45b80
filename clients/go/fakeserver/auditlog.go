package fakeserver

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// Origin is the name of the stand-in's log.
const Origin = "cloakroom.vault/fake"

// AuditLog is the audit log of a stand-in. It is safe for concurrent use.
type AuditLog struct {
	// VerifierKey verifies the checkpoints of an honest log.
	VerifierKey string

	mu      sync.Mutex    // guards what follows
	changed chan struct{} // closed by the next Append
	broken  chan struct{} // closed by the next BreakWatches
	signers []signing     // the one that signs for good first
	named   []string      // what is said of them; nil for the truth
	entries []*cloakroomv1.AuditEntry
	encoded [][]byte
	fields  []string    // the field of number i+1 in the encoding
	stored  []tlog.Hash // as package tlog numbers them
	first   int
	lies    lies
}

// signing is who signs checkpoints.
type signing struct {
	note.Signer
	vkey string
}

// lies are what the log does wrong.
type lies struct {
	swap       int // exports swap the entry of this index with the next; -1: none
	truncate   int // exports end before this index; -1: never
	breakOnce  int // the next export breaks before this index; -1: never
	breakWatch int // the next watch that comes to this index breaks before it; -1: never
	dropHash   bool
	lag        bool // proofs of the last size are of the one before it
	skip       int  // exports leave out the entry of this index; -1: none
	back       int  // how far watches that say where to begin go back
	alterRoot  bool
	forge      bool // all signatures but the last are of another text
	alterProof int  // inclusion proofs from this index on are wrong; -1: none
}

func newAuditLog(tb testing.TB) *AuditLog {
	tb.Helper()
	l := &AuditLog{changed: make(chan struct{}), broken: make(chan struct{}), lies: lies{swap: -1, truncate: -1, breakOnce: -1, breakWatch: -1, alterProof: -1, skip: -1}}
	signer, vkey := auditSigner(tb, Origin, 1)
	l.signers, l.VerifierKey = []signing{{signer, vkey}}, vkey
	return l
}

// Append adds entries; their index is set. All are covered by the checkpoint at
// once.
func (l *AuditLog) Append(entries ...*cloakroomv1.AuditEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		e.SetIndex(uint64(len(l.entries)))
		l.add(e)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// add appends one entry; the caller holds the lock.
func (l *AuditLog) add(e *cloakroomv1.AuditEntry) {
	data := l.encode(e)
	hashes, err := tlog.StoredHashes(int64(len(l.entries)), data, l.hashes())
	if err != nil {
		panic(err) // the hashes are in memory
	}
	l.entries, l.encoded, l.stored = append(l.entries, e), append(l.encoded, data), append(l.stored, hashes...)
}

// hashes reads the stored hashes; the caller holds the lock.
func (l *AuditLog) hashes() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			out[i] = l.stored[at]
		}
		return out, nil
	})
}

// Prune removes the entries before an index, as retention does: the tree stays.
func (l *AuditLog) Prune(first int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = first
}

// Rollback puts the log back to a size.
func (l *AuditLog) Rollback(size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.encoded = l.entries[:size], l.encoded[:size]
	l.stored = l.stored[:tlog.StoredHashCount(int64(size))]
}

// Rewrite changes an entry's principal and makes all of the tree again: a log
// that verifies by itself.
func (l *AuditLog) Rewrite(index int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := l.entries
	l.entries, l.encoded, l.stored = nil, nil, nil
	for i, e := range entries {
		if i == index {
			e = proto.Clone(e).(*cloakroomv1.AuditEntry)
			e.SetPrincipal("nobody")
		}
		l.add(e)
	}
}

// BreakWatches makes every open watch fail.
func (l *AuditLog) BreakWatches() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.broken)
	l.broken = make(chan struct{})
}

// Swap makes exports send the entry of an index and the next in each other's
// place.
func (l *AuditLog) Swap(index int) { l.lie(func(s *lies) { s.swap = index }) }

// Truncate makes exports end before an index without an error.
func (l *AuditLog) Truncate(index int) { l.lie(func(s *lies) { s.truncate = index }) }

// BreakExport makes the next export fail before an index.
func (l *AuditLog) BreakExport(index int) { l.lie(func(s *lies) { s.breakOnce = index }) }

// BreakWatch makes the next watch that comes to an index break before it, once.
func (l *AuditLog) BreakWatch(index int) { l.lie(func(s *lies) { s.breakWatch = index }) }

// DropHash makes every proof lack its last hash.
func (l *AuditLog) DropHash() { l.lie(func(s *lies) { s.dropHash = true }) }

// LagProofs makes inclusion proofs of the last size be of the one before it,
// with the last checkpoint.
func (l *AuditLog) LagProofs() { l.lie(func(s *lies) { s.lag = true }) }

// SetBackWatches makes watches that say where to begin, begin so many entries
// before.
func (l *AuditLog) SetBackWatches(entries int) { l.lie(func(s *lies) { s.back = entries }) }

// LeaveOut makes exports leave out the entry of an index.
func (l *AuditLog) LeaveOut(index int) { l.lie(func(s *lies) { s.skip = index }) }

// AlterRoot makes checkpoints state a root that was not signed.
func (l *AuditLog) AlterRoot() { l.lie(func(s *lies) { s.alterRoot = true }) }

// AlterProofs makes inclusion proofs wrong from an index on.
func (l *AuditLog) AlterProofs(index int) { l.lie(func(s *lies) { s.alterProof = index }) }

func (l *AuditLog) lie(change func(*lies)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.lies)
}

// checkpoint returns the signed checkpoint and its size; the caller holds the
// lock.
func (l *AuditLog) checkpoint() (signed []byte, size int64) {
	size = int64(len(l.entries))
	root := l.root(size)
	signed = l.sign(fmt.Sprintf("%s\n%d\n%s\n", l.signers[0].Name(), size, root))
	if l.lies.alterRoot {
		signed = []byte(strings.Replace(string(signed), root.String(), tlog.RecordHash(nil).String(), 1))
	}
	return signed, size
}

// root is the root at a size; the caller holds the lock.
func (l *AuditLog) root(size int64) tlog.Hash {
	root, err := tlog.TreeHash(size, l.hashes())
	if err != nil {
		panic(err) // the hashes are in memory
	}
	return root
}
