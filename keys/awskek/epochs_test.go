package awskek_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/awskek"
)

const day = 24 * time.Hour

// epoch1 is an Epochs that has epoch 1.
func epoch1(t *testing.T, s *trent, u *user) *awskek.Epochs {
	t.Helper()
	e := s.epochs(t, u, "vault")
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return e
}

// states counts the keys of the service by their state.
func (s *trent) states() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for _, k := range s.keys {
		n[k.state]++
	}
	return n
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestCreate(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	e, err := awskek.OpenEpochs(t.Context(), awskek.EpochOptions{
		Prefix: "vault", KeyPolicy: `{"Version":"2012-10-17"}`, Tags: map[string]string{"team": "privacy"}, Access: s.access(u),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Create(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	k := s.find("alias/vault-epoch-7")
	if k == nil || k.description != "Cloakroom: vault: erasure epoch 7" {
		t.Fatalf("the key is %+v", k)
	}
	for name, want := range map[string]string{
		"cloakroom-prefix": "vault", "cloakroom-name": "vault-epoch-7", "team": "privacy", "(policy)": `{"Version":"2012-10-17"}`,
	} {
		if k.tags[name] != want {
			t.Errorf("tag %s is %q, want %q", name, k.tags[name], want)
		}
	}
	if got := e.Name(); got != "aws-kms/eu-central-1/vault" {
		t.Errorf("named %q", got)
	}
}

// An answer that is lost makes the SDK repeat a call that was carried out.
func TestLostAnswers(t *testing.T) {
	for _, op := range []string{"CreateAlias", "ScheduleKeyDeletion"} {
		t.Run(op, func(t *testing.T) {
			s := newTrent(t)
			u := s.user()
			lost := false
			s.set(func() {
				u.lose = func(got string) bool {
					first := got == op && !lost
					lost = lost || first
					return first
				}
			})
			e := epoch1(t, s, u)
			if err := e.Destroy(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if s.count(u, op) < 2 {
				t.Error("nothing was repeated")
			}
			// The epoch's key, and the one that carries its tombstone.
			if n := s.states(); n["PendingDeletion"] != 1 || n["Enabled"] != 1 {
				t.Errorf("keys: %v", n)
			}
		})
	}
}

// Who loses the race for an epoch leaves no key behind.
func TestCreateRaceLeavesNothing(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	other := s.epochs(t, s.user(), "vault")
	s.set(func() {
		u.refuse = func(op string) (int, string) {
			if op == "CreateKey" {
				u.refuse = nil
				s.mu.Unlock() // the other comes between
				defer s.mu.Lock()
				if err := other.Create(t.Context(), 1); err != nil {
					t.Error(err)
				}
			}
			return 0, ""
		}
	})
	wantErr(t, "Create", s.epochs(t, u, "vault").Create(t.Context(), 1), keys.ErrExists)
	if n := s.states(); n["Enabled"] != 1 || n["PendingDeletion"] != 1 {
		t.Errorf("keys: %v, want one for the epoch and one on its way out", n)
	}
	if k := s.find("alias/vault-epoch-1"); k == nil || k.state != "Enabled" {
		t.Error("the winner's key is not the epoch's")
	}
}

func TestDestructionDelay(t *testing.T) {
	for _, test := range []struct {
		name        string
		given, want time.Duration
	}{
		{"default", 0, 7 * day},
		{"longest", 30 * day, 30 * day},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTrent(t)
			e, err := awskek.OpenEpochs(t.Context(), awskek.EpochOptions{Prefix: "vault", DestructionDelay: test.given, Access: s.access(s.user())})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Create(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if err := e.Destroy(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			// Receipts find it by this method.
			delay := keys.EpochKEK(e).(interface{ DestructionDelay() time.Duration }).DestructionDelay()
			if d := e.Destruction(); d.Delay != delay || !d.Certain {
				t.Errorf("Destruction says %+v, DestructionDelay %v", d, delay)
			}
			if k := s.find("alias/vault-epoch-1"); delay != test.want || time.Duration(k.window)*day != test.want {
				t.Errorf("says %v and asked for %d days, want %v", delay, k.window, test.want)
			}
		})
	}
}

func TestEpochStates(t *testing.T) {
	s := newTrent(t)
	e := epoch1(t, s, s.user())
	s.set(func() { s.find("alias/vault-epoch-1").state = "Disabled" })
	_, err := e.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, keys.ErrDisabled)
	wantErr(t, "Create", e.Create(t.Context(), 1), keys.ErrExists)
	s.set(func() { s.find("alias/vault-epoch-1").state = "Unavailable" })
	_, err = e.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, keys.ErrAway)
	wantErr(t, "Destroy", e.Destroy(t.Context(), 1), nil)
	// Taken away by somebody else, without a tombstone: lost.
	lost := s.epochs(t, s.user(), "lost")
	wantErr(t, "Create", lost.Create(t.Context(), 1), nil)
	s.set(func() { s.find("alias/lost-epoch-1").state = "PendingDeletion" })
	s.finish()
	_, err = lost.Wrap(t.Context(), 1, nil, nil)
	wantErr(t, "Wrap", err, keys.ErrNoKey)
	wantErr(t, "Destroy", lost.Destroy(t.Context(), 1), keys.ErrNoKey)
}
