package keys_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

var signer0 = keys.ID{Kind: keys.KindAuditSigner}

func TestSigner(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	r := create(t, st, kek)
	if r.Snapshot().Signer(signer0) != nil {
		t.Error("a signer without a keyset")
	}
	if err := r.Ensure(t.Context(), signer0, field7); err != nil {
		t.Fatal(err)
	}
	s := r.Snapshot().Signer(signer0)
	message := []byte("a checkpoint\n")
	sig, err := s.Sign(message)
	if err != nil || !ed25519.Verify(s.Public(), message, sig) {
		t.Fatalf("the signature does not verify, error %v", err)
	}
	if ed25519.Verify(s.Public(), []byte("another\n"), sig) {
		t.Error("the signature verifies another message")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
		if got := fmt.Sprintf(verb, s); got != "[redacted]" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if r.Snapshot().AEAD(signer0) != nil || r.Snapshot().PRF(signer0) != nil || r.Snapshot().Signer(field7) != nil {
		t.Error("a keyset is given out as of another kind")
	}

	again, err := keys.Open(t.Context(), st, kek, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Snapshot().Signer(signer0).Public(); !got.Equal(s.Public()) {
		t.Error("another key after opening again")
	}
}
