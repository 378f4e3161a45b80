package audit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestReceipt(t *testing.T) {
	if _, err := (audit.Receipt{}).Wait(t.Context()); !errors.Is(err, audit.ErrNoReceipt) {
		t.Errorf("zero receipt: %v", err)
	}
	if _, err := audit.Failed(nil).Wait(t.Context()); !errors.Is(err, audit.ErrNoReceipt) {
		t.Errorf("failed with nil: %v", err)
	}
	if _, err := audit.Failed(errInjected).Wait(t.Context()); !errors.Is(err, errInjected) {
		t.Errorf("failed: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	m := audit.Memory()
	m.Hold()
	r := m.Append(entry(1))
	if _, err := r.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("context ended first: %v", err)
	}
	m.Release()
	for range 100 { // select has no order, Wait has
		if _, err := r.Wait(ended); err != nil {
			t.Fatalf("durable, but Wait says %v", err)
		}
	}
}

func TestMemoryHoldAndFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := audit.Memory()
		m.Hold()
		r := m.Append(entry(1))
		done := make(chan error, 1)
		go func() { done <- waitFor(r) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("held receipt returned: %v", err)
		default:
		}
		if m.Size() != 0 {
			t.Error("held entry counts as durable")
		}
		m.Release()
		if err := <-done; err != nil || m.Size() != 1 || len(m.Entries()) != 1 {
			t.Errorf("released: %v, size %d", err, m.Size())
		}
		m.Hold()
		r = m.Append(entry(1))
		m.Fail(errInjected)
		for _, err := range []error{waitFor(r), waitFor(m.Append(entry(1))), m.Healthy()} {
			if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, errInjected) {
				t.Errorf("failing: %v", err)
			}
		}
		m.Fail(nil)
		m.Release()
		if index, err := m.Append(entry(1)).Wait(t.Context()); err != nil || index != 1 {
			t.Errorf("mended: index %d, %v", index, err)
		}
	})
}
