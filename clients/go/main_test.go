package cloakroom_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial connects to a server that is ready, without waits between attempts.
func dial(t testing.TB, s *fakeserver.Server, options ...cloakroom.Option) *cloakroom.Client {
	t.Helper()
	base := []cloakroom.Option{
		cloakroom.WithTLSFiles(s.CA, s.Cert, s.Key),
		cloakroom.WithWait(func(context.Context, time.Duration) error { return nil }),
	}
	client, err := cloakroom.Dial(s.Address, append(base, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// asError returns err as the *Error that it must be.
func asError(t testing.TB, err error) *cloakroom.Error {
	t.Helper()
	var e *cloakroom.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want an *Error", err, err)
	}
	return e
}

func ada() cloakroom.RecordInput {
	return cloakroom.RecordInput{SubjectID: "C1", Fields: cloakroom.Fields{
		"email": cloakroom.Texts("ada@example.org"),
		"phone": cloakroom.Texts("+4930111", "+4930222"),
		"photo": {cloakroom.Bytes([]byte{0, 1, 0xff})},
	}}
}
