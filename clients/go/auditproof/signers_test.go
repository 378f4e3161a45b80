package auditproof_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

// verifier is the key that the stand-in signs with for a seed.
func verifier(t *testing.T, origin string, seed byte) note.Verifier {
	t.Helper()
	key, err := auditproof.NewVerifier(fakeserver.VerifierKey(t, origin, seed))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestOpenCheckpointUnderSeveralKeys(t *testing.T) {
	first, second, third := verifier(t, fakeserver.Origin, 1), verifier(t, fakeserver.Origin, 2), verifier(t, fakeserver.Origin, 3)
	id := auditproof.KeyID
	for _, tc := range []struct {
		name    string
		signers []byte // all signatures but the last are bad when forged
		forged  bool
		keys    []note.Verifier
		want    []string // who signed; none for a fault
		fault   string
	}{
		{"one of one", []byte{1}, false, []note.Verifier{first}, []string{id(first)}, ""},
		{"the other of two", []byte{2}, false, []note.Verifier{first, second}, []string{id(second)}, ""},
		{"both, in the order asked", []byte{2, 1}, false, []note.Verifier{first, second}, []string{id(first), id(second)}, ""},
		{"a key asked with twice", []byte{1}, false, []note.Verifier{first, first}, []string{id(first)}, ""},
		{"one of two that signed", []byte{2, 1}, false, []note.Verifier{second}, []string{id(second)}, ""},
		{"a bad signature beside a good one", []byte{2, 1}, true, []note.Verifier{second, first}, []string{id(first)}, ""},
		{"a bad signature alone", []byte{2, 1}, true, []note.Verifier{second}, nil, "key " + id(second) + "; it names " + id(first) + " instead"},
		{"neither", []byte{3}, false, []note.Verifier{first, second}, nil, "key " + id(first) + ", nor of " + id(second) + "; it names " + id(third)},
		{"a key of another log", []byte{1}, false, []note.Verifier{verifier(t, "cloakroom.vault/other", 1)}, nil, "no good signature"},
		{"no key", []byte{1}, false, nil, nil, "no good signature"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, client, _ := rig(t, 3)
			s.Audit.SignAs(t, fakeserver.Origin, tc.signers...)
			if tc.forged {
				s.Audit.ForgeSignatures()
			}
			answer, err := client.AuditCheckpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, err := auditproof.OpenCheckpoint(answer.Signed, tc.keys...)
			if tc.want == nil {
				if !errors.Is(err, auditproof.ErrCheckpoint) || !strings.Contains(err.Error(), tc.fault) {
					t.Fatalf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, c.SignedBy); diff != "" || c.Size != 3 || c.Origin != fakeserver.Origin {
				t.Errorf("%+v\n%s", c, diff)
			}
		})
	}
}

// What a log says of its keys is told apart from what they signed.
func TestNamedKeys(t *testing.T) {
	text := func(seed byte) string { return fakeserver.VerifierKey(t, fakeserver.Origin, seed) }
	named := func(seed byte, signed bool) auditproof.NamedKey {
		return auditproof.NamedKey{VerifierKey: text(seed), ID: auditproof.KeyID(verifier(t, fakeserver.Origin, seed)), Signed: signed}
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = text(1)
	}
	for _, tc := range []struct {
		name    string
		signers []byte
		forged  bool
		says    []string // nil for the truth
		want    []auditproof.NamedKey
	}{
		{"one", []byte{1}, false, nil, []auditproof.NamedKey{named(1, true)}},
		{"two", []byte{2, 1}, false, nil, []auditproof.NamedKey{named(2, true), named(1, true)}},
		{"a forged signature", []byte{2, 1}, true, nil, []auditproof.NamedKey{named(2, false), named(1, true)}},
		{"one that did not sign", []byte{1}, false, []string{text(3), text(1)}, []auditproof.NamedKey{named(3, false), named(1, true)}},
		{"no key", []byte{1}, false, []string{"no key", text(1)}, []auditproof.NamedKey{{}, named(1, true)}},
		{"a key with a line break in it", []byte{1}, false, []string{text(1)[:60] + "\n" + text(1)[60:]}, []auditproof.NamedKey{{}}},
		{"a key of another log", []byte{1}, false, []string{fakeserver.VerifierKey(t, "cloakroom.vault/other", 1)}, []auditproof.NamedKey{{}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, client, key := rig(t, 3)
			s.Audit.SignAs(t, fakeserver.Origin, tc.signers...)
			if tc.says != nil {
				s.Audit.NameKeys(tc.says...)
			}
			if tc.forged {
				s.Audit.ForgeSignatures()
			}
			report, err := auditproof.VerifyLog(t.Context(), client, key, auditproof.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, report.Named); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{auditproof.KeyID(key)}, report.Checkpoint.SignedBy); diff != "" {
				t.Error(diff)
			}
		})
	}
	s, client, key := rig(t, 3)
	s.Audit.NameKeys(many...)
	if report, err := auditproof.VerifyLog(t.Context(), client, key, auditproof.Options{}); err != nil || len(report.Named) != 16 {
		t.Errorf("of 40 keys named: %+v, %v", report, err)
	}
}

// Whatever a log names, only the key asked with opens it.
func TestNamedKeyIsNotTrusted(t *testing.T) {
	s, client, key := rig(t, 3)
	s.Audit.SignAs(t, fakeserver.Origin, 2)
	s.Audit.NameKeys(fakeserver.VerifierKey(t, fakeserver.Origin, 2), s.Audit.VerifierKey)
	if _, err := auditproof.VerifyLog(t.Context(), client, key, auditproof.Options{}); !errors.Is(err, auditproof.ErrCheckpoint) {
		t.Errorf("%v", err)
	}
	// A proof holds under any of the keys that it is checked with.
	old, fresh := key, verifier(t, fakeserver.Origin, 2)
	if _, _, err := auditproof.FetchProof(t.Context(), client, 1, old); !errors.Is(err, auditproof.ErrCheckpoint) {
		t.Errorf("%v", err)
	}
	p, _, err := auditproof.FetchProof(t.Context(), client, 1, old, fresh)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Verify(old, fresh); err != nil || !cmp.Equal(c.SignedBy, []string{auditproof.KeyID(fresh)}) {
		t.Errorf("%+v, %v", c, err)
	}
}
