package audit_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// small makes segments that hold some ten entries.
var small = audit.Options{SegmentSize: 4096}

// entry returns an entry of the given number of items with an id of its own.
func entry(items int) *audit.Entry {
	e := &audit.Entry{Action: audit.ActionReveal, Outcome: audit.Allowed, Principal: "test", Count: uint32(items)}
	for i := range items {
		e.Items = append(e.Items, audit.Item{Subject: [16]byte{1, byte(i), 15: 1}, Field: 1, Outcome: audit.Allowed})
	}
	return e
}

// appendAll appends entries of rising sizes at once, then waits, and notes
// what was acknowledged. It returns how many were not, which must have failed
// with ErrUnavailable.
func appendAll(t testing.TB, log audit.Log, n int, promised acked) (failed int) {
	t.Helper()
	type sent struct {
		id      [16]byte
		receipt audit.Receipt
	}
	var all []sent
	for i := range n {
		e := entry((i + len(promised)) % 30)
		r := log.Append(e)
		all = append(all, sent{e.ID, r})
	}
	for _, s := range all {
		index, err := s.receipt.Wait(context.Background())
		switch {
		case errors.Is(err, audit.ErrUnavailable):
			failed++
		case err != nil:
			t.Errorf("receipt: %v", err)
		default:
			if _, twice := promised[index]; twice {
				t.Errorf("index %d is acknowledged twice", index)
			}
			promised[index] = s.id
		}
	}
	return failed
}

// reopen cuts the power, opens the log again, and verifies it.
func reopen(t testing.TB, d *fakeDisk, promised acked) *audit.FileLog {
	t.Helper()
	d.powerCut()
	log, err := audit.Open("log", small.OnDisk(d.start()))
	if err != nil {
		t.Fatalf("open after the power cut: %v", err)
	}
	promised.verify(t, log)
	return log
}

func waitFor(r audit.Receipt) error {
	_, err := r.Wait(context.Background())
	return err
}

// acked collects what receipts have promised.
type acked map[uint64][16]byte

// verify holds that log has entries 0 to Size-1, no id twice, and every
// acknowledged one at its index.
func (a acked) verify(t testing.TB, log *audit.FileLog) {
	t.Helper()
	seen := map[[16]byte]bool{}
	next := uint64(0)
	err := log.Read(0, func(index uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err != nil {
			return err
		}
		if index != next {
			t.Errorf("entry %d follows entry %d", index, next-1)
		}
		if id, ok := a[index]; ok && id != e.ID {
			t.Errorf("entry %d is not the one that was acknowledged", index)
		}
		if seen[e.ID] {
			t.Errorf("entry %d is there twice", index)
		}
		seen[e.ID] = true
		next++
		return nil
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if next != log.Size() {
		t.Errorf("%d entries read, size says %d", next, log.Size())
	}
	for index := range a {
		if index >= next {
			t.Errorf("acknowledged entry %d is lost; the log ends at %d", index, next)
		}
	}
}
