package awskek_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// When the service has deleted the key, its alias is gone with it.
func TestDestroyedForEver(t *testing.T) {
	s := newTrent(t)
	e := epoch1(t, s, s.user())
	blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Destroy(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"in the window", "after it"} {
		again := s.epochs(t, s.user(), "vault")
		_, err := again.Wrap(t.Context(), 1, []byte("plain"), nil)
		wantErr(t, "Wrap "+when, err, keys.ErrDestroyed)
		_, err = again.Unwrap(t.Context(), 1, blob, nil)
		wantErr(t, "Unwrap "+when, err, keys.ErrDestroyed)
		wantErr(t, "Create "+when, again.Create(t.Context(), 1), keys.ErrDestroyed)
		wantErr(t, "Destroy "+when, again.Destroy(t.Context(), 1), nil)
		s.finish()
	}
}

// The key is on its way out, its tombstone could not be put.
func TestDestroyCutOff(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	e := epoch1(t, s, u)
	s.set(func() {
		u.refuse = func(op string) (int, string) {
			if op == "CreateAlias" {
				return 500, "KMSInternalException"
			}
			return 0, ""
		}
	})
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), keys.ErrAway)
	_, err := e.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, keys.ErrDestroyed)
	s.refuse(u, 0, "")
	wantErr(t, "Destroy again", e.Destroy(t.Context(), 1), nil)
	s.finish()
	wantErr(t, "Create", s.epochs(t, u, "vault").Create(t.Context(), 1), keys.ErrDestroyed)
}

// A process that destroyed an epoch refuses it whatever the service shows yet,
// and an answer that was under way does not come through.
func TestDestroyedAtOnce(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	e := epoch1(t, s, u)
	blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		call func() ([]byte, error)
	}{
		{"Wrap", func() ([]byte, error) { return e.Wrap(t.Context(), 1, []byte("plain"), nil) }},
		{"Unwrap", func() ([]byte, error) { return e.Unwrap(t.Context(), 1, blob, nil) }},
	} {
		s.set(func() {
			s.find("alias/vault-epoch-1").state = "Enabled" // not seen yet, or cancelled
			u.tamper = func(op string, _ map[string]any) {
				if op == "Encrypt" || op == "Decrypt" {
					u.tamper = nil
					s.mu.Unlock()
					defer s.mu.Lock()
					if err := e.Destroy(t.Context(), 1); err != nil {
						t.Error(err)
					}
				}
			}
		})
		e = s.epochs(t, u, "vault")
		out, err := test.call()
		if !errors.Is(err, keys.ErrDestroyed) || out != nil {
			t.Errorf("%s under way: %d bytes, %v", test.name, len(out), err)
		}
		s.set(func() { s.find("alias/vault-epoch-1").state = "Enabled" })
		asked := s.count(u, "Encrypt") + s.count(u, "Decrypt")
		if _, err := test.call(); !errors.Is(err, keys.ErrDestroyed) {
			t.Errorf("%s later: %v", test.name, err)
		}
		if n := s.count(u, "Encrypt") + s.count(u, "Decrypt"); n != asked {
			t.Errorf("%s later: the service was asked", test.name)
		}
		// Destroy itself believes the service alone.
		wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
		if k := s.find("alias/vault-epoch-1"); k.state != "PendingDeletion" {
			t.Errorf("a deletion that was cancelled was not scheduled again: %s", k.state)
		}
	}
}

// The service shows an alias some seconds late. Who made the epoch need not
// wait for that.
func TestAliasNotSeenYet(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	e := epoch1(t, s, u)
	s.set(func() { delete(s.aliases, "alias/vault-epoch-1") })
	_, err := e.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, nil)
	wantErr(t, "Create", e.Create(t.Context(), 1), keys.ErrExists)
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
	if n := s.states(); n["PendingDeletion"] != 1 {
		t.Errorf("keys: %v", n)
	}
}

func TestDestroySparesForeignKeys(t *testing.T) {
	s := newTrent(t)
	arn := s.key()
	s.set(func() { s.aliases["alias/vault-epoch-1"] = arn })
	wantErr(t, "Destroy", s.epochs(t, s.user(), "vault").Destroy(t.Context(), 1), keys.ErrUsage)
	if n := s.states(); n["Enabled"] != 1 {
		t.Errorf("keys: %v", n)
	}
}

// An answer that does not say so is no proof.
func TestDestroyWantsProof(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	e := epoch1(t, s, u)
	s.set(func() {
		u.tamper = func(op string, a map[string]any) {
			if op == "ScheduleKeyDeletion" {
				a["KeyState"] = "Enabled"
			}
		}
	})
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), keys.ErrAway)
}

// The service allows 50 aliases a key.
func TestManyTombstones(t *testing.T) {
	s := newTrent(t)
	e := s.epochs(t, s.user(), "vault")
	for n := range uint32(60) {
		if err := e.Create(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if err := e.Destroy(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	s.finish()
	if n := s.states(); n["Enabled"] != 2 || len(n) != 1 {
		t.Errorf("keys: %v, want two for the tombstones", n)
	}
	s.set(func() {
		for alias := range s.aliases {
			if !strings.HasPrefix(alias, "alias/vault-") {
				t.Errorf("alias %s", alias)
			}
		}
	})
	wantErr(t, "Create", e.Create(t.Context(), 33), keys.ErrDestroyed)
}
