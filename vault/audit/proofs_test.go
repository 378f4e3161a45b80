package audit_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// TestProofs answers proofs from a log in use.
func TestProofs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	log := open(t, dir, small)
	if _, err := log.Proofs(); !errors.Is(err, audit.ErrNotPublished) {
		t.Errorf("proofs of a log that is not published: %v", err)
	}
	if _, err := log.VerifierKey(); !errors.Is(err, audit.ErrNotPublished) {
		t.Errorf("key of a log that is not published: %v", err)
	}
	s, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
		t.Fatal(err)
	}
	if key, err := log.VerifierKey(); err != nil || key != s.VerifierKey() {
		t.Errorf("key %q, error %v", key, err)
	}
	proofs, err := log.Proofs()
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if err := waitFor(log.Append(entry(2))); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	cp, err := proofs.Checkpoint()
	if err != nil || cp.Size != 40 {
		t.Fatalf("checkpoint %+v, error %v", cp, err)
	}
	if _, err := proofs.Inclusion(39, 40); err != nil {
		t.Error(err)
	}
	if _, err := proofs.Consistency(1, 40); err != nil {
		t.Error(err)
	}
	if _, err := proofs.Inclusion(40, 41); !errors.Is(err, tree.ErrRange) {
		t.Errorf("past the end: %v", err)
	}
	if _, err := proofs.Leaf(40); !errors.Is(err, tree.ErrRange) {
		t.Errorf("a leaf past the end: %v", err)
	}
}
