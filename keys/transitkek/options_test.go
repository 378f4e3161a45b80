package transitkek_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

func TestOptions(t *testing.T) {
	type change = func(*testing.T, *transitkek.Options)
	set := func(f func(*transitkek.Options)) change {
		return func(_ *testing.T, o *transitkek.Options) { f(o) }
	}
	address := func(a string) change { return set(func(o *transitkek.Options) { o.Address = a }) }
	key := func(k string) change { return set(func(o *transitkek.Options) { o.Key = k }) }
	mount := func(m string) change { return set(func(o *transitkek.Options) { o.Mount = m }) }
	kubernetes := func(k transitkek.Kubernetes) change {
		return set(func(o *transitkek.Options) { o.Auth = transitkek.Auth{Kubernetes: &k} })
	}
	tests := []struct {
		name   string
		change change
		says   string // empty: good
	}{
		{"as they are", set(func(*transitkek.Options) {}), ""},
		{"https", address("https://vault.example:8200"), ""},
		{"slash at the end", address("http://[::1]:8200/"), ""},
		{"localhost", address("http://localhost:8200"), ""},
		{"no address", address(""), "Address"},
		{"no host", address("https://"), "Address"},
		{"no scheme", address("vault.example:8200"), "Address"},
		{"plain http to elsewhere", address("http://vault.example:8200"), "loopback"},
		{"plain http to a name like localhost", address("http://localhost.example"), "loopback"},
		{"another scheme", address("ftp://127.0.0.1"), "https"},
		{"a password", address("https://me:CANARY@vault.example"), "no more"},
		{"a broken password", address("https://me:CANARY%@vault.example"), "no more"},
		{"a path", address("https://vault.example/v1"), "no more"},
		{"a query", address("https://vault.example?x=1"), "no more"},
		{"a fragment", address("https://vault.example#x"), "no more"},
		{"key of 64", key(strings.Repeat("k", 64)), ""},
		{"key of 65", key(strings.Repeat("k", 65)), "Key"},
		{"no key", key(""), "Key"},
		{"key with a dot and a dash", key("a.b-c_d"), ""},
		{"key that climbs", key(".."), "Key"},
		{"key with a slash", key("a/../b"), "Key"},
		{"key with an escape", key("a%2fb"), "Key"},
		{"key with a query", key("a?b"), "Key"},
		{"key with a line", key("a\nb"), "Key"},
		{"key with a dash at the end", key("a-"), "Key"},
		{"mount that climbs", mount("transit/../sys"), "Mount"},
		{"mount with two slashes", mount("a//b"), "Mount"},
		{"mount of 65", mount(strings.Repeat("m", 65)), "Mount"},
		{"namespace with a line", set(func(o *transitkek.Options) { o.Namespace = "a\r\nX-Vault-Token: x" }), "Namespace"},
		{"negative time-out", set(func(o *transitkek.Options) { o.Timeout = -1 }), "Timeout"},
		{"no auth", set(func(o *transitkek.Options) { o.Auth = transitkek.Auth{} }), "exactly one"},
		{"two of auth", set(func(o *transitkek.Options) { o.Auth.Kubernetes = &transitkek.Kubernetes{Role: "r"} }), "exactly one"},
		{"half an AppRole", set(func(o *transitkek.Options) { o.Auth = transitkek.Auth{AppRole: &transitkek.AppRole{RoleIDFile: "x"}} }), "SecretIDFile"},
		{"Kubernetes without a role", kubernetes(transitkek.Kubernetes{}), "Kubernetes.Role"},
		{"Kubernetes mount that climbs", kubernetes(transitkek.Kubernetes{Role: "r", Mount: "../x"}), "Kubernetes.Mount"},
		{"no CA file", set(func(o *transitkek.Options) { o.CAFile = "/nonexistent/ca" }), "CAFile"},
		{"CA file without a certificate", func(t *testing.T, o *transitkek.Options) { o.CAFile = write(t, "none") }, "CAFile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := transittest.New()
			o := options(t, s)
			tt.change(t, &o)
			s.Engine.Do(http.MethodPost, "keys/"+o.Key, map[string]any{})
			rt := s.Transport()
			if strings.Contains(tt.name, "CA file") {
				rt = nil
			}
			k, err := transitkek.OpenOver(t.Context(), o, rt, pause)
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				k.Close()
				return
			}
			if !errors.Is(err, keys.ErrUsage) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want ErrUsage that names %q", err, tt.says)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Error("the error shows the address")
			}
		})
	}
	o := options(t, transittest.New())
	for _, bad := range []string{"", "../x", strings.Repeat("p", 65)} {
		o.Prefix = bad
		if _, err := transitkek.OpenEpochs(t.Context(), o); !errors.Is(err, keys.ErrUsage) || !strings.Contains(err.Error(), "Prefix") {
			t.Errorf("a bad prefix: %v", err)
		}
	}
}

func TestCredentialFiles(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string) error
		says   string // empty: good
	}{
		{"mode 0600", func(*testing.T, string) error { return nil }, ""},
		{"mode 0640", func(_ *testing.T, p string) error { return os.Chmod(p, 0o640) }, ""},
		{"mode 0644", func(_ *testing.T, p string) error { return os.Chmod(p, 0o644) }, "mode 0644"},
		{"mode 0601", func(_ *testing.T, p string) error { return os.Chmod(p, 0o601) }, "mode 0601"},
		{"symbolic link", func(_ *testing.T, p string) error {
			return errors.Join(os.Rename(p, p+".real"), os.Symlink(filepath.Base(p)+".real", p))
		}, ""},
		{"missing", func(_ *testing.T, p string) error { return os.Remove(p) }, "credential"},
		{"directory", func(_ *testing.T, p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "regular file"},
		{"named pipe", func(_ *testing.T, p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) }, "regular file"},
		{"empty", func(_ *testing.T, p string) error { return os.WriteFile(p, []byte("\n"), 0o600) }, "1 to"},
		{"too long", func(_ *testing.T, p string) error { return os.WriteFile(p, make([]byte, 17<<10), 0o600) }, "1 to"},
		{"two lines", func(_ *testing.T, p string) error { return os.WriteFile(p, []byte("CANARY\nCANARY\n"), 0o600) }, "one line"},
		{"line of Windows", func(_ *testing.T, p string) error { return os.WriteFile(p, []byte(token+"\r\n"), 0o600) }, ""},
		{"not ASCII", func(_ *testing.T, p string) error { return os.WriteFile(p, []byte("CANARYé"), 0o600) }, "one line"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := transittest.New()
			o := options(t, s)
			if err := tt.change(t, o.Auth.TokenFile); err != nil {
				t.Fatal(err)
			}
			k, err := transitkek.OpenOver(t.Context(), o, s.Transport(), pause)
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				k.Close()
				return
			}
			if !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), o.Auth.TokenFile) {
				t.Errorf("got %v, want ErrDenied that names the path and %q", err, tt.says)
			}
			noCanary(t, err)
		})
	}
}

// Kubernetes gives its token to all users of the pod.
func TestServiceAccountMode(t *testing.T) {
	s := transittest.New()
	s.Logins["auth/kubernetes/login"] = transittest.Login{In: map[string]string{"jwt": jwt}}
	o := options(t, s)
	path := write(t, jwt)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	o.Auth = transitkek.Auth{Kubernetes: &transitkek.Kubernetes{Role: "vault", TokenFile: path}}
	mustOpen(t, o, s.Transport())
}

func TestOpenLooksAtTheKey(t *testing.T) {
	tests := []struct {
		name string
		made map[string]any // nil: no key
		want error
	}{
		{"good", map[string]any{}, nil},
		{"none", nil, keys.ErrNoKey},
		{"another type", map[string]any{"type": "chacha20-poly1305"}, keys.ErrUsage},
		{"derived", map[string]any{"derived": true}, keys.ErrUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := transittest.New()
			o := options(t, s)
			o.Key = "other"
			if tt.made != nil {
				s.Engine.Do(http.MethodPost, "keys/other", tt.made)
			}
			k, err := transitkek.OpenOver(t.Context(), o, s.Transport(), pause)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				k.Close()
			}
		})
	}
}
