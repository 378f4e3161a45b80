package auditproof_test

import (
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a stand-in with n entries, a client of it, and the key of its log.
func rig(t testing.TB, n int) (*fakeserver.Server, *cloakroom.Client, note.Verifier) {
	t.Helper()
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(n)...)
	client, err := cloakroom.Dial(s.Address, cloakroom.WithTLSFiles(s.CA, s.Cert, s.Key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	key, err := auditproof.NewVerifier(s.Audit.VerifierKey + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return s, client, key
}

// kept returns the checkpoint of now.
func kept(t testing.TB, client *cloakroom.Client, key note.Verifier) *auditproof.Checkpoint {
	t.Helper()
	answer, err := client.AuditCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := auditproof.OpenCheckpoint(answer.Signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
