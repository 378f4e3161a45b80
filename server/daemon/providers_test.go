package daemon_test

import (
	"crypto/fips140"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

// place is a prepared configuration and what it names.
type place struct {
	t   *testing.T
	dir string
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return place{t, dir}
}

func (p place) file(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p place) key(name string) {
	p.t.Helper()
	if err := filekek.Generate(filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

// configure writes a configuration with the given providers.
func (p place) configure(kek, epochs, more string) (path string) {
	return p.file("cloakroom.yaml", fmt.Sprintf(`directory: data
listen: 127.0.0.1:0
tls: {certificate: certs/server.crt, key: certs/server.key, client_ca: certs/ca.crt}
kek: %s
epochs: %s
%s`, kek, epochs, more))
}

func (p place) init(path string) (*config.Config, error) {
	return daemon.InitWith(p.t.Context(), path, daemon.InitOptions{Administrator: admin, Hosts: []string{"127.0.0.1"}}, quiet)
}

// open opens what a configuration says, and closes it.
func (p place) open(path string) error {
	p.t.Helper()
	c, err := config.Load(path)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		return err
	}
	n, err := daemon.Open(p.t.Context(), c, quiet)
	if err != nil {
		return err
	}
	return n.Close()
}

// engine is a transit engine with the key "kek", and a token for it.
func (p place) engine() (s *transittest.Server, options string) {
	p.t.Helper()
	s = transittest.New()
	address := s.Start(p.t)
	s.AddToken("the-token", 0)
	p.file("token", "the-token\n")
	if status, _, _ := s.Engine.Do(http.MethodPost, "keys/kek", nil); status >= 300 {
		p.t.Fatalf("the engine answers %d", status)
	}
	return s, fmt.Sprintf(`address: "%s", mount: %s, token_file: token`, address, transittest.Mount)
}

// A vault under a transit engine, for the KEK and for epochs.
func TestTransit(t *testing.T) {
	p := newPlace(t)
	server, options := p.engine()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := p.configure("{transit: {"+options+", key: kek}}", "{transit: {"+options+", prefix: vault-1}}", "")
	c, err := p.init(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.KEK.Kind() != "transit" || !server.Engine.(*transittest.Memory).Has("vault-1-epoch-1") {
		t.Error("the engine has no key of the first epoch")
	}
	if err := p.open(path); err != nil {
		t.Errorf("opening it: %v", err)
	}
	server.RevokeAll()
	if err := p.open(path); !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), "open kek.transit: ") {
		t.Errorf("without rights: %v, want ErrDenied that names kek.transit", err)
	}
	server.AddToken("the-token", 0)
	server.Engine.(*transittest.Memory).Remove("kek")
	if err := p.open(path); !errors.Is(err, keys.ErrNoKey) || !strings.Contains(err.Error(), "open kek.transit: ") {
		t.Errorf("without the key: %v, want ErrNoKey that names kek.transit", err)
	}
	server.Engine.Do(http.MethodPost, "keys/kek", nil)
	if err := p.open(path); !errors.Is(err, keys.ErrWrongKey) || !strings.Contains(err.Error(), "transit/") {
		t.Errorf("with another key of the name: %v, want ErrWrongKey that names the provider", err)
	}
}

// While the KEK is changed, the one that wrapped the root is taken, wherever
// it stands.
func TestKEKOrNext(t *testing.T) {
	defer goleak.VerifyNone(t)
	const epochs = "{directory: epochs}"
	p := newPlace(t)
	p.key("a.key")
	p.key("b.key")
	p.key("c.key")
	if _, err := p.init(p.configure("{file: a.key, next: {file: b.key}}", epochs, "")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kek  string
		want error
		says string
	}{
		"before the change":        {"{file: a.key, next: {file: b.key}}", nil, ""},
		"alone":                    {"{file: a.key}", nil, ""},
		"after it, not turned yet": {"{file: b.key, next: {file: a.key}}", nil, ""},
		"another":                  {"{file: b.key}", keys.ErrWrongKey, "file/"},
		"two others":               {"{file: b.key, next: {file: c.key}}", keys.ErrWrongKey, "file/"},
	} {
		t.Run(name, func(t *testing.T) {
			err := p.open(p.configure(c.kek, epochs, ""))
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("err = %v, want %v", err, c.want)
			}
		})
	}
}

// A provider that is away is told apart from one that holds another key, and
// one that is not needed may be away.
func TestKEKAwayAndNext(t *testing.T) {
	p := newPlace(t)
	server, options := p.engine()
	p.key("a.key")
	p.key("b.key")
	const epochs = "{directory: epochs}"
	transit := "{transit: {" + options + ", timeout: 200ms, key: kek}}"
	if _, err := p.init(p.configure("{file: a.key}", epochs, "")); err != nil {
		t.Fatal(err)
	}
	server.Break(transittest.Status(http.StatusServiceUnavailable))
	swapped := strings.TrimSuffix(transit, "}") + ", next: {file: a.key}}"
	if err := p.open(p.configure(swapped, epochs, "")); err != nil {
		t.Errorf("kek is away and the root is wrapped by kek.next: %v", err)
	}
	err := p.open(p.configure("{file: b.key, next: "+transit+"}", epochs, ""))
	if !errors.Is(err, keys.ErrAway) || !strings.Contains(err.Error(), "open kek.next.transit: ") {
		t.Errorf("kek is another and kek.next is away: %v, want ErrAway that names kek.next.transit", err)
	}
	err = p.open(p.configure(transit, epochs, ""))
	if !errors.Is(err, keys.ErrAway) || errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("kek is away: %v, want ErrAway", err)
	}
}

// Renaming a key, as moving an engine does, does not lock anybody out: when
// the root row names neither, both are tried.
func TestKEKUnderAnotherName(t *testing.T) {
	p := newPlace(t)
	server, options := p.engine()
	p.key("a.key")
	const epochs = "{directory: epochs}"
	if _, err := p.init(p.configure("{transit: {"+options+", key: kek}}", epochs, "")); err != nil {
		t.Fatal(err)
	}
	server.Engine = renamed{server.Engine}
	if err := p.open(p.configure("{file: a.key, next: {transit: {"+options+", key: moved}}}", epochs, "")); err != nil {
		t.Errorf("as kek.next: %v", err)
	}
	if err := p.open(p.configure("{transit: {"+options+", key: moved}, next: {file: a.key}}", epochs, "")); err != nil {
		t.Errorf("as kek: %v", err)
	}
}

// renamed is an engine whose key "kek" has the name "moved".
type renamed struct{ transittest.Engine }

// Do implements transittest.Engine.
func (r renamed) Do(method, path string, body map[string]any) (int, any, []string) {
	return r.Engine.Do(method, strings.Replace(path, "/moved", "/kek", 1), body)
}

// Providers without a network are opened as the configuration says; what
// cannot be had in this binary says so.
func TestProvidersThatAreNotReached(t *testing.T) {
	p := newPlace(t)
	p.file("pin", "1234\n")
	p.file("library.so", "no library")
	const epochs = "{directory: epochs}"
	for name, c := range map[string]struct {
		kek, epochs string
		want        error
	}{
		"PKCS#11":           {"{pkcs11: {library: library.so, token: t, label: k, pin_file: pin}}", epochs, tokenError()},
		"epochs in PKCS#11": {"{file: a.key}", "{pkcs11: {library: library.so, token: t, prefix: p, pin_file: pin}}", tokenError()},
		"AWS":               {`{aws: {key: "arn:aws:kms:eu-central-1:111122223333:key/a", endpoint: "http://127.0.0.1:1", timeout: 100ms}}`, epochs, keys.ErrAway},
		"epochs in AWS":     {"{file: a.key}", `{aws: {region: eu-central-1, prefix: p, endpoint: "http://127.0.0.1:1", timeout: 100ms}}`, keys.ErrAway},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
			t.Setenv("AWS_SECRET_ACCESS_KEY", strings.Repeat("example/", 5)) // as long as real ones: FIPS 140 allows no short key
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(p.dir, "none"))
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(p.dir, "none"))
			_ = os.Remove(filepath.Join(p.dir, "a.key"))
			p.key("a.key")
			path := p.configure(c.kek, c.epochs, "")
			if _, err := p.init(path); !errors.Is(err, c.want) && (err == nil || !strings.Contains(err.Error(), c.want.Error())) {
				t.Errorf("err = %v, want %v", err, c.want)
			}
			p.empty("token", "pin", "library.so", "a.key", "cloakroom.yaml")
		})
	}
}

// tokenError is why a library that is none cannot be loaded.
func tokenError() error {
	if pkcs11kek.Built {
		return keys.ErrUsage
	}
	return pkcs11kek.ErrNotBuilt
}

// empty wants nothing in the place but some files.
func (p place) empty(but ...string) {
	p.t.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.Contains(" "+strings.Join(but, " ")+" ", " "+e.Name()+" ") {
			p.t.Errorf("%s was left behind", e.Name())
		}
	}
}

// A configuration that requires FIPS 140-3 mode is held to it, before anything
// is made.
func TestFIPSIsRequired(t *testing.T) {
	p := newPlace(t)
	p.key("a.key")
	_, err := p.init(p.configure("{file: a.key}", "{directory: epochs}", "fips: true\n"))
	if fips140.Enabled() {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, daemon.ErrNotFIPS) {
		t.Errorf("err = %v, want ErrNotFIPS", err)
	}
	p.empty("a.key", "cloakroom.yaml")
	plain := p.configure("{file: a.key}", "{directory: epochs}", "")
	if _, err := p.init(plain); err != nil {
		t.Fatal(err)
	}
	if err := p.open(p.configure("{file: a.key}", "{directory: epochs}", "fips: true\n")); !errors.Is(err, daemon.ErrNotFIPS) {
		t.Errorf("opening: %v, want ErrNotFIPS", err)
	}
}

// What an attempt made is removed, and what was there stays.
func TestInitWithThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(p place)
		want  string
		left  []string
	}{
		"KEK is missing":         {func(place) {}, "kek.file", nil},
		"data is not empty":      {func(p place) { p.key("a.key"); p.mkdir("data"); p.file("data/letter", "") }, "not empty", []string{"a.key", "data"}},
		"half the certificates":  {func(p place) { p.key("a.key"); p.mkdir("certs"); p.file("certs/server.crt", "") }, "tls.", []string{"a.key", "certs"}},
		"epochs are open to all": {func(p place) { p.key("a.key"); p.mkdir("epochs"); p.chmod("epochs", 0o755) }, "epochs.directory", []string{"a.key", "epochs"}},
		"epoch 1 is there":       {func(p place) { p.key("a.key"); p.mkdir("data"); p.epoch() }, "key exists already", []string{"a.key", "data", "epochs"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			c.spoil(p)
			if _, err := p.init(p.configure("{file: a.key}", "{directory: epochs}", "")); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want one that says %q", err, c.want)
			}
			p.empty(append(c.left, "cloakroom.yaml")...)
			if entries, err := os.ReadDir(filepath.Join(p.dir, "data")); err == nil && len(entries) > 0 && entries[0].Name() != "letter" {
				t.Errorf("%s was left in the data", entries[0].Name())
			}
		})
	}
}

func (p place) mkdir(name string) {
	p.t.Helper()
	if err := os.Mkdir(filepath.Join(p.dir, name), 0o700); err != nil {
		p.t.Fatal(err)
	}
}

func (p place) chmod(name string, mode os.FileMode) {
	p.t.Helper()
	if err := os.Chmod(filepath.Join(p.dir, name), mode); err != nil {
		p.t.Fatal(err)
	}
}

// epoch makes the first epoch's key, as another vault would have.
func (p place) epoch() {
	p.t.Helper()
	e, err := filekek.CreateEpochs(filepath.Join(p.dir, "epochs"))
	if err == nil {
		err = e.Create(p.t.Context(), 1)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func TestMakeKEK(t *testing.T) {
	p := newPlace(t)
	p.file("phrase", "correct horse battery staple\n")
	key, phrase := filepath.Join(p.dir, "kek", "a.key"), filepath.Join(p.dir, "kek", "pass.kek")
	for name, c := range map[string]struct {
		provider config.Provider
		want     error
	}{
		"transit":    {config.Provider{Transit: &config.Transit{}}, keys.ErrUsage},
		"credential": {config.Provider{Credential: "kek"}, keys.ErrUsage},
		"nothing":    {config.Provider{}, keys.ErrUsage},
	} {
		if err := daemon.MakeKEK(t.Context(), &c.provider); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, provider := range []config.Provider{
		{File: key}, {Passphrase: &config.Passphrase{File: phrase, FromFile: filepath.Join(p.dir, "phrase")}},
	} {
		if err := daemon.MakeKEK(t.Context(), &provider); err != nil {
			t.Fatal(err)
		}
		if err := daemon.MakeKEK(t.Context(), &provider); !errors.Is(err, keys.ErrExists) {
			t.Errorf("%s once more: %v, want ErrExists", provider.Kind(), err)
		}
	}
	path := p.configure("{passphrase: {file: kek/pass.kek, from_file: phrase}, next: {file: kek/a.key}}", "{directory: epochs}", "")
	if _, err := p.init(path); err != nil {
		t.Fatal(err)
	}
	if err := p.open(path); err != nil {
		t.Error(err)
	}
}
