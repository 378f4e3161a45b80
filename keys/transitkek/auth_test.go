package transitkek_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

const (
	roleID   = "role-of-the-vault"
	secretID = "CANARY-secret-id"
	jwt      = "eyJhbGciOi.CANARY.jwt"
)

// appRole lets the options log in by AppRole.
func appRole(t *testing.T, s *transittest.Server, o *transitkek.Options) {
	s.Logins["auth/approle/login"] = transittest.Login{In: map[string]string{"role_id": roleID, "secret_id": secretID}}
	o.Auth = transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: write(t, roleID), SecretIDFile: write(t, secretID+"\n")}}
}

func use(ctx context.Context, k keys.KEK) error {
	blob, err := k.Wrap(ctx, []byte("plain"), []byte("aad"))
	if err != nil {
		return err
	}
	_, err = k.Unwrap(ctx, blob, []byte("aad"))
	return err
}

func TestLogins(t *testing.T) {
	tests := []struct {
		name  string
		login string
		in    map[string]string
		auth  func(t *testing.T) transitkek.Auth
		want  error
	}{
		{"AppRole", "auth/approle/login", map[string]string{"role_id": roleID, "secret_id": secretID}, func(t *testing.T) transitkek.Auth {
			return transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: write(t, roleID), SecretIDFile: write(t, secretID)}}
		}, nil},
		{"AppRole elsewhere", "auth/team/roles/login", map[string]string{"role_id": roleID, "secret_id": secretID}, func(t *testing.T) transitkek.Auth {
			return transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: write(t, roleID), SecretIDFile: write(t, secretID), Mount: "team/roles"}}
		}, nil},
		{"AppRole with another secret", "auth/approle/login", map[string]string{"secret_id": "another"}, func(t *testing.T) transitkek.Auth {
			return transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: write(t, roleID), SecretIDFile: write(t, secretID)}}
		}, keys.ErrDenied},
		{"Kubernetes", "auth/kubernetes/login", map[string]string{"role": "vault", "jwt": jwt}, func(t *testing.T) transitkek.Auth {
			return transitkek.Auth{Kubernetes: &transitkek.Kubernetes{Role: "vault", TokenFile: write(t, jwt)}}
		}, nil},
		{"Kubernetes elsewhere", "auth/k8s/login", map[string]string{"role": "vault", "jwt": jwt}, func(t *testing.T) transitkek.Auth {
			return transitkek.Auth{Kubernetes: &transitkek.Kubernetes{Role: "vault", TokenFile: write(t, jwt), Mount: "k8s"}}
		}, nil},
		{"a method that is not there", "auth/other/login", nil, func(t *testing.T) transitkek.Auth {
			return transitkek.Auth{Kubernetes: &transitkek.Kubernetes{Role: "vault", TokenFile: write(t, jwt)}}
		}, keys.ErrDenied},
		{"an unknown token", "", nil, func(t *testing.T) transitkek.Auth {
			return transitkek.Auth{TokenFile: write(t, "hvs.CANARY-unknown")}
		}, keys.ErrDenied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := transittest.New()
			o := options(t, s)
			s.Logins[tt.login] = transittest.Login{In: tt.in}
			o.Auth = tt.auth(t)
			before := s.Tokens()
			k, err := transitkek.OpenOver(t.Context(), o, s.Transport(), pause)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				noCanary(t, err)
				return
			}
			if err := use(t.Context(), k); err != nil {
				t.Error(err)
			}
			if s.Tokens() != before+1 || s.Count("login") != 1 {
				t.Errorf("%d tokens more after %d logins, want one", s.Tokens()-before, s.Count("login"))
			}
			k.Close()
			k.Close()
			if s.Tokens() != before {
				t.Error("Close left the token valid")
			}
			if err := use(t.Context(), k); !errors.Is(err, keys.ErrUsage) {
				t.Errorf("a call after Close: %v, want ErrUsage", err)
			}
		})
	}
}

// A token of a file belongs to somebody else and is not revoked.
func TestCloseLeavesTheTokenOfAFile(t *testing.T) {
	s := transittest.New()
	k := mustOpen(t, options(t, s), s.Transport())
	k.Close()
	if s.Tokens() != 1 {
		t.Error("Close revoked the token of TokenFile")
	}
}

func TestNamespace(t *testing.T) {
	s := transittest.New()
	s.Namespace = "team/app"
	o := options(t, s)
	appRole(t, s, &o)
	if _, err := transitkek.OpenOver(t.Context(), o, s.Transport(), pause); err == nil {
		t.Error("opened without the namespace")
	}
	o.Namespace = "team/app/"
	if err := use(t.Context(), mustOpen(t, o, s.Transport())); err != nil {
		t.Error(err)
	}
}

// A token that ended or was revoked between two calls is replaced within the
// call; a caller that is really denied costs one login a call.
func TestTokenEndsInTheMiddle(t *testing.T) {
	s := transittest.New()
	o := options(t, s)
	appRole(t, s, &o)
	k := mustOpen(t, o, s.Transport())
	blob, err := k.Wrap(t.Context(), []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.RevokeAll()
	if _, err := k.Unwrap(t.Context(), blob, nil); err != nil {
		t.Errorf("after the token was revoked: %v", err)
	}
	logins := s.Count("login")
	if logins != 2 {
		t.Errorf("%d logins, want 2", logins)
	}
	s.Break(func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/decrypt/") && transittest.Status(403)(w, r)
	})
	if _, err := k.Unwrap(t.Context(), blob, nil); !errors.Is(err, keys.ErrDenied) {
		t.Errorf("got %v, want ErrDenied", err)
	}
	if n := s.Count("login") - logins; n != 1 {
		t.Errorf("a denied call logged in %d times, want once", n)
	}
}

// Who waits while somebody else logs in leaves when its context ends.
func TestWaitingForALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := transittest.New()
		o := options(t, s)
		appRole(t, s, &o)
		k := mustOpen(t, o, s.Transport())
		release := make(chan struct{})
		s.RevokeAll()
		s.Break(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "login") {
				<-release
			}
			return false
		})
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- use(t.Context(), k) }()
		synctest.Wait() // it logs in
		go func() { second <- use(ctx, k) }()
		synctest.Wait() // it waits for that
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if n := s.Count("login"); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
		k.Close()
	})
}

// An agent that puts a new token into the file is noticed when the old one
// ends.
func TestTokenFileIsReadAgain(t *testing.T) {
	s := transittest.New()
	o := options(t, s)
	k := mustOpen(t, o, s.Transport())
	s.RevokeAll()
	if err := use(t.Context(), k); !errors.Is(err, keys.ErrDenied) {
		t.Errorf("with a revoked token: %v, want ErrDenied", err)
	}
	s.AddToken("hvs.next", 0)
	if err := os.WriteFile(o.Auth.TokenFile, []byte("hvs.next"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := use(t.Context(), k); err != nil {
		t.Errorf("with the new token: %v", err)
	}
}

func TestRenewal(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		name            string
		ttl, max        time.Duration
		fixed           bool // not renewable
		file            bool // the token is that of TokenFile
		outage          time.Duration
		logins, renewed int // in a day
	}{
		{name: "renewed for ever", ttl: time.Hour, logins: 1, renewed: 35},
		{name: "logged in again at the end of renewal", ttl: time.Hour, max: 4 * time.Hour, logins: 7, renewed: 40},
		{name: "not renewable", ttl: time.Hour, fixed: true, logins: 36},
		{name: "without end", logins: 1},
		{name: "token of a file", ttl: time.Hour, file: true, renewed: 35},
		{name: "away for three hours", ttl: time.Hour, outage: 3 * time.Hour, logins: 2, renewed: 30},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := transittest.New()
				s.TTL, s.MaxTTL, s.NotRenewable = tt.ttl, tt.max, tt.fixed
				o := options(t, s)
				if tt.file {
					s.AddToken(token, tt.ttl)
				} else {
					appRole(t, s, &o)
				}
				k := mustOpen(t, o, s.Transport())
				<-time.After(time.Minute)
				if tt.outage > 0 {
					s.Break(transittest.Status(503))
					<-time.After(tt.outage)
					s.Break(nil)
				}
				<-time.After(day - 3*time.Minute - tt.outage) // not at the moment of a renewal
				logins, renewed := s.Count("login"), s.Count("renew-self")
				if tt.outage == 0 && (logins != tt.logins || renewed < tt.renewed-6 || renewed > tt.renewed+6) {
					t.Errorf("%d logins and %d renewals in a day, want %d and about %d", logins, renewed, tt.logins, tt.renewed)
				}
				if tt.outage > 0 && (logins > 400 || renewed < 20) {
					t.Errorf("%d logins tried and %d renewals around an outage", logins, renewed)
				}
				s.Break(func(w http.ResponseWriter, r *http.Request) bool {
					return strings.HasSuffix(r.URL.Path, "login") && transittest.Status(503)(w, r)
				})
				if err := use(t.Context(), k); err != nil {
					t.Errorf("the token is not alive after a day: %v", err)
				}
				k.Close()
			})
		})
	}
}

// noCanary wants no form of an error or of an object to show a credential.
func noCanary(t *testing.T, v any) {
	t.Helper()
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if text := fmt.Sprintf(form, v); strings.Contains(text, "CANARY") || strings.Contains(text, fmt.Sprintf("%x", "CANARY")) {
			t.Errorf("printed by %s it shows a credential", form)
		}
	}
}
