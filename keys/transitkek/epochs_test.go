package transitkek_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

const epochKey = prefix + "-epoch-1"

// Copies of a key that left the engine cannot be destroyed.
func TestEpochKeyMustStayInside(t *testing.T) {
	for _, option := range []string{"exportable", "allow_plaintext_backup"} {
		t.Run(option, func(t *testing.T) {
			s := transittest.New()
			e := mustOpenEpochs(t, options(t, s), s.Transport())
			s.Engine.Do(http.MethodPost, "keys/"+epochKey, map[string]any{option: true})
			if _, err := e.Wrap(t.Context(), 1, []byte("plain"), nil); !errors.Is(err, keys.ErrUsage) {
				t.Errorf("got %v, want ErrUsage", err)
			}
		})
	}
}

func TestCreateSaysHowTheKeyIsToBe(t *testing.T) {
	s := transittest.New()
	e := mustOpenEpochs(t, options(t, s), s.Transport())
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	_, data, _ := s.Engine.Do(http.MethodGet, "keys/"+epochKey, nil)
	for field, want := range map[string]any{"type": "aes256-gcm96", "exportable": false, "allow_plaintext_backup": false, "derived": false, "deletion_allowed": false} {
		if got := data.(map[string]any)[field]; got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
}

// An answer to Create that was lost is not asked for again: the key would look
// like somebody else's within one call.
func TestCreateIsNotRepeated(t *testing.T) {
	s := transittest.New()
	e := mustOpenEpochs(t, options(t, s), s.Transport())
	s.Break(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, epochKey) {
			return false
		}
		s.Engine.Do(http.MethodPost, "keys/"+epochKey, map[string]any{})
		return transittest.Status(504)(w, r)
	})
	if err := e.Create(t.Context(), 1); !errors.Is(err, keys.ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
	if n := s.Count("POST /v1/" + transittest.Mount + "/keys/" + epochKey); n != 1 {
		t.Errorf("sent %d times, want once", n)
	}
	s.Break(nil)
	if err := e.Create(t.Context(), 1); !errors.Is(err, keys.ErrExists) {
		t.Errorf("the next Create: %v, want ErrExists", err)
	}
}

// A Destroy that is cut off before any of its steps is not done, says so, and
// is finished by the next.
func TestDestroyCutOff(t *testing.T) {
	for _, step := range []string{"/rotate", "/config", "/trim"} {
		t.Run(step, func(t *testing.T) {
			s := transittest.New()
			e := mustOpenEpochs(t, options(t, s), s.Transport())
			if err := e.Create(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Break(on(step, transittest.Status(503)))
			if err := e.Destroy(t.Context(), 1); !errors.Is(err, keys.ErrAway) {
				t.Errorf("got %v, want ErrAway", err)
			}
			s.Break(nil)
			// Past config the engine refuses the version, but still has it.
			want := error(nil)
			if step == "/trim" {
				want = keys.ErrDisabled
			}
			if _, err := e.Unwrap(t.Context(), 1, blob, nil); !errors.Is(err, want) {
				t.Errorf("in between: %v, want %v", err, want)
			}
			if _, err := e.Wrap(t.Context(), 1, []byte("plain"), nil); !errors.Is(err, want) {
				t.Errorf("Wrap in between: %v, want %v", err, want)
			}
			if err := e.Destroy(t.Context(), 1); err != nil {
				t.Error(err)
			}
			if _, err := e.Unwrap(t.Context(), 1, blob, nil); !errors.Is(err, keys.ErrDestroyed) {
				t.Errorf("afterwards: %v, want ErrDestroyed", err)
			}
		})
	}
}

// An engine that says yes to everything and keeps the key is not believed.
func TestDestroyAsksAgain(t *testing.T) {
	s := transittest.New()
	e := mustOpenEpochs(t, options(t, s), s.Transport())
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.Break(on("/trim", transittest.Status(204)))
	if err := e.Destroy(t.Context(), 1); !errors.Is(err, keys.ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
}

// A key that an operator rotated goes on with version 1, so that destroying
// version 1 destroys all.
func TestEpochUsesOneVersion(t *testing.T) {
	s := transittest.New()
	e := mustOpenEpochs(t, options(t, s), s.Transport())
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.Engine.Do(http.MethodPost, "keys/"+epochKey+"/rotate", nil)
	blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil || !strings.HasPrefix(string(blob[1:]), "vault:v1:") {
		t.Fatalf("wrapped as %.10q, %v", blob, err)
	}
	if err := e.Destroy(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Unwrap(t.Context(), 1, blob, nil); !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("got %v, want ErrDestroyed", err)
	}
}

func TestDestroyRaces(t *testing.T) {
	s := transittest.New()
	e := mustOpenEpochs(t, options(t, s), s.Transport())
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := e.Destroy(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Keys that an operator put out of use say so, and are not taken for wrong.
func TestDisabledKeys(t *testing.T) {
	state := func(more string) transittest.Fault {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodGet && say(`{"data":{"type":"aes256-gcm96","latest_version":2,"keys":{"1":1,"2":1},`+more+`}}`)(w, r) ||
				r.Method != http.MethodGet && transittest.Status(400)(w, r)
		}
	}
	for name, more := range map[string]string{
		"min_encryption_version": `"min_decryption_version":1,"min_encryption_version":2`,
		"min_decryption_version": `"min_decryption_version":2,"min_encryption_version":2`,
		"soft deleted":           `"min_decryption_version":1,"soft_deleted":true`,
	} {
		t.Run(name, func(t *testing.T) {
			s := transittest.New()
			e := mustOpenEpochs(t, options(t, s), s.Transport())
			s.Break(state(more))
			if _, err := e.Wrap(t.Context(), 1, []byte("plain"), nil); !errors.Is(err, keys.ErrDisabled) {
				t.Errorf("got %v, want ErrDisabled", err)
			}
		})
	}
}

// An engine that answers a creation with nothing does not tell whether it was
// one.
func TestCreateNeedsAnAnswer(t *testing.T) {
	s := transittest.New()
	e := mustOpenEpochs(t, options(t, s), s.Transport())
	for name, fault := range map[string]transittest.Fault{"204": transittest.Status(204), "nothing": say(`{}`)} {
		t.Run(name, func(t *testing.T) {
			s.Break(func(w http.ResponseWriter, r *http.Request) bool { return r.Method == http.MethodPost && fault(w, r) })
			defer s.Break(nil)
			if err := e.Create(t.Context(), 1); err == nil || errors.Is(err, keys.ErrExists) {
				t.Errorf("got %v, want an error that is not ErrExists", err)
			}
		})
	}
}

// What is destroyed is left alone by the next Destroy.
func TestDestroyAgainOnlyLooks(t *testing.T) {
	s := transittest.New()
	e := mustOpenEpochs(t, options(t, s), s.Transport())
	if err := errors.Join(e.Create(t.Context(), 1), e.Destroy(t.Context(), 1)); err != nil {
		t.Fatal(err)
	}
	before := len(s.Requests())
	if err := e.Destroy(t.Context(), 1); err != nil || len(s.Requests()) != before+1 {
		t.Errorf("%v after %d requests, want one", err, len(s.Requests())-before)
	}
}
