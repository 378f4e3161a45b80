package transitkek_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyName = "cloakroom"
	prefix  = "cloakroom"
	token   = "hvs.CANARY-token-of-the-operator"
	pause   = time.Microsecond
)

// write puts text into a file that only this user can read.
func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// options of a Server that knows token and has the key keyName.
func options(t *testing.T, s *transittest.Server) transitkek.Options {
	t.Helper()
	s.AddToken(token, 0)
	s.Engine.Do(http.MethodPost, "keys/"+keyName, map[string]any{})
	return transitkek.Options{
		Address: "http://127.0.0.1:1", Mount: transittest.Mount, Key: keyName, Prefix: prefix, Timeout: time.Minute,
		Auth: transitkek.Auth{TokenFile: write(t, token+"\n")},
	}
}

// started is options of a Server that listens.
func started(t *testing.T, s *transittest.Server) transitkek.Options {
	o := options(t, s)
	o.Address = s.Start(t)
	return o
}

func mustOpen(t *testing.T, o transitkek.Options, rt http.RoundTripper) *transitkek.KEK {
	t.Helper()
	k, err := transitkek.OpenOver(t.Context(), o, rt, pause)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func mustOpenEpochs(t *testing.T, o transitkek.Options, rt http.RoundTripper) *transitkek.Epochs {
	t.Helper()
	e, err := transitkek.OpenEpochsOver(t.Context(), o, rt, pause)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// known is what a test remembers of a provider's object.
type known struct {
	s *transittest.Server
	o transitkek.Options
}

func faults[K comparable](of map[K]known) keystest.Faults[K] {
	status := func(code int) func(*testing.T, K) func() {
		return func(_ *testing.T, kek K) func() {
			of[kek].s.Break(transittest.Status(code))
			return func() { of[kek].s.Break(nil) }
		}
	}
	return keystest.Faults[K]{
		Deny: status(403),
		Away: status(503),
		Slow: func(_ *testing.T, kek K) (<-chan struct{}, func()) { return of[kek].s.Slow() },
	}
}

func TestKEKContract(t *testing.T) {
	of := map[keys.KEK]known{}
	var made atomic.Int32
	s := transittest.New() // one engine, so that "another key" is one of the same engine
	keystest.RunKEK(t, keystest.Harness{
		New: func(t *testing.T) keys.KEK {
			o := started(t, s)
			o.Key = fmt.Sprintf("%s.%d", keyName, made.Add(1))
			s.Engine.Do(http.MethodPost, "keys/"+o.Key, map[string]any{})
			k := mustOpen(t, o, nil)
			of[k] = known{s, o}
			return k
		},
		Reopen: func(t *testing.T, k keys.KEK) keys.KEK { return mustOpen(t, of[k].o, nil) },
		Faults: faults(of),
	})
}

func TestEpochsContract(t *testing.T) {
	of := map[keys.EpochKEK]known{}
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New: func(t *testing.T) keys.EpochKEK {
			s := transittest.New()
			o := started(t, s)
			e := mustOpenEpochs(t, o, nil)
			of[e] = known{s, o}
			return e
		},
		Reopen: func(t *testing.T, k keys.EpochKEK) keys.EpochKEK { return mustOpenEpochs(t, of[k].o, nil) },
		Faults: faults(of),
	})
}
