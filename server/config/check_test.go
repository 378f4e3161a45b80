package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/devca"
)

// newPlace makes everything that the default configuration names, and writes
// the example as its file, whose path is returned.
func newPlace(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := devca.Create(filepath.Join(dir, "certs"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := config.Example(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "cloakroomd.yaml")
	_, epochs := filekek.CreateEpochs(filepath.Join(dir, "epochs"))
	err = errors.Join(
		epochs,
		ca.IssueServer("server", []string{"localhost"}),
		ca.IssueClient("shop", "spiffe://example.org/shop"),
		os.Mkdir(filepath.Join(dir, "data"), 0o700),
		os.Mkdir(filepath.Join(dir, "kek"), 0o700),
		filekek.Generate(filepath.Join(dir, "kek", "kek.key")),
		os.WriteFile(file, text, 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCheckOfTheExample(t *testing.T) {
	file := newPlace(t)
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	// Looking leaves nothing behind, and a second start finds the audit log.
	entries, err := os.ReadDir(c.Directory)
	if err != nil || len(entries) != 0 {
		t.Errorf("%d files in the directory after a check; %v", len(entries), err)
	}
	if err := os.Mkdir(c.Audit.Directory, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Errorf("with an audit directory: %v", err)
	}
}

func TestCheckFinds(t *testing.T) {
	type change func(t *testing.T, c *config.Config)
	replace := func(path func(*config.Config) string, text string, mode fs.FileMode) change {
		return func(t *testing.T, c *config.Config) {
			must(t, os.Remove(path(c)))
			must(t, os.WriteFile(path(c), []byte(text), mode))
		}
	}
	directory := func(c *config.Config) string { return c.Directory }
	audit := func(c *config.Config) string { return c.Audit.Directory }
	cert := func(c *config.Config) string { return c.TLS.Certificate }
	key := func(c *config.Config) string { return c.TLS.Key }
	clients := func(c *config.Config) string { return c.TLS.ClientCA }
	kek := func(c *config.Config) string { return c.KEK.File }
	epochs := func(c *config.Config) string { return c.Epochs.Directory }
	gone := func(path func(*config.Config) string) change {
		return func(t *testing.T, c *config.Config) { must(t, os.RemoveAll(path(c))) }
	}
	mode := func(path func(*config.Config) string, m fs.FileMode) change {
		return func(t *testing.T, c *config.Config) { must(t, os.Chmod(path(c), m)) }
	}
	moved := func(path func(*config.Config) string, into func(*config.Config) string) change {
		return func(t *testing.T, c *config.Config) {
			hidden := filepath.Join(into(c), "hidden")
			must(t, os.Rename(path(c), hidden))
			must(t, os.Symlink(hidden, path(c)))
		}
	}
	tests := map[string]struct {
		change change
		path   string
		says   string
	}{
		"directory is missing": {gone(directory), "directory", "does not exist"},
		"directory is a file": {func(t *testing.T, c *config.Config) {
			must(t, os.Remove(c.Directory))
			must(t, os.WriteFile(c.Directory, nil, 0o600))
		}, "directory", "not a directory"},
		"directory is open to the group": {mode(directory, 0o770), "directory", "0770"},
		"directory is open to all":       {mode(directory, 0o702), "directory", "0702"},
		"directory cannot be written":    {func(_ *testing.T, c *config.Config) { c.Directory = "/proc/self" }, "directory", "cannot be written"},
		"audit log is a file":            {func(t *testing.T, c *config.Config) { must(t, os.WriteFile(c.Audit.Directory, nil, 0o600)) }, "audit.directory", "not a directory"},
		"audit log is open to the group": {func(t *testing.T, c *config.Config) {
			must(t, os.Mkdir(c.Audit.Directory, 0o700))
			mode(audit, 0o720)(t, c)
		}, "audit.directory", "0720"},
		"audit log has no parent":      {func(_ *testing.T, c *config.Config) { c.Audit.Directory = c.Directory + "/a/b" }, "audit.directory", "/a does not exist"},
		"certificate is missing":       {gone(cert), "tls.certificate", "does not exist"},
		"certificate is a text":        {replace(cert, "hello", 0o644), "tls.certificate", "no certificate in PEM"},
		"TLS key is missing":           {gone(key), "tls.key", "does not exist"},
		"TLS key is open to the group": {mode(key, 0o640), "tls.key", "0640"},
		"TLS key is another's": {func(t *testing.T, c *config.Config) {
			must(t, os.Rename(filepath.Join(filepath.Dir(c.TLS.Key), "shop.key"), c.TLS.Key))
		}, "tls.key", "not the key of the certificate"},
		"client authorities are missing":  {gone(clients), "tls.client_ca", "does not exist"},
		"client authorities are a text":   {replace(clients, "hello", 0o644), "tls.client_ca", "no certificate in PEM"},
		"KEK is missing":                  {gone(kek), "kek.file", "an existing vault needs its own"},
		"KEK is open to the group":        {mode(kek, 0o640), "kek.file", "0640"},
		"KEK is something else":           {replace(kek, "hello", 0o600), "kek.file", "does not start with"},
		"epochs are missing":              {gone(epochs), "epochs.directory", "does not exist"},
		"epochs are open to the group":    {mode(epochs, 0o750), "epochs.directory", "0750"},
		"epochs are linked into the data": {moved(epochs, directory), "epochs.directory", "must not be inside directory"},
		"KEK folder is linked into the data": {
			moved(func(c *config.Config) string { return filepath.Dir(c.KEK.File) }, directory), "kek.file", "must not be inside directory",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(newPlace(t))
			must(t, err)
			test.change(t, c)
			var list config.Problems
			if err := c.Check(); !errors.As(err, &list) {
				t.Fatalf("err = %v, want Problems", err)
			}
			for _, p := range list {
				if p.Path == test.path && strings.Contains(p.Message, test.says) && p.Line > 0 {
					return
				}
			}
			t.Errorf("no problem of %s that says %q, with its line:\n%v", test.path, test.says, list)
		})
	}
}

// What a configuration names of each provider is looked at by the rules of the
// provider's package.
func TestCheckOfProviders(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	tests := map[string]struct {
		kek, epochs string            // in place of the example's; empty leaves it
		more        string            // sections more
		files       map[string]string // beside the configuration, mode 0600
		open        []string          // files that get mode 0644
		path, says  string            // of the problem; no path: there is none
	}{
		"credential outside the service": {kek: "{credential: kek}"},
		"passphrase": {
			kek: "{passphrase: {file: kek/kek.key, from_file: phrase}}", files: map[string]string{"phrase": "CANARY"},
			path: "kek.passphrase", says: "kek.key",
		},
		"passphrase is missing": {
			kek:  "{passphrase: {file: kek/kek.key, from_file: phrase}}",
			path: "kek.passphrase", says: "phrase does not exist",
		},
		"token": {kek: `{transit: {address: "https://v", key: k, token_file: token}}`, files: map[string]string{"token": "CANARY"}},
		"token that others read": {
			kek: `{transit: {address: "https://v", key: k, token_file: token}}`, files: map[string]string{"token": "CANARY"}, open: []string{"token"},
			path: "kek.transit", says: "0644",
		},
		"CA of the epochs' engine": {
			epochs: `{transit: {address: "https://v", prefix: k, token_file: token, ca: ca.pem}}`, files: map[string]string{"token": "CANARY", "ca.pem": "CANARY"},
			path: "epochs.transit", says: "ca.pem",
		},
		"AWS": {kek: `{aws: {key: "arn:aws:kms:eu-central-1:111122223333:key/a"}}`, epochs: "{aws: {region: eu-central-1, prefix: p}}"},
		"credentials of Google Cloud": {
			epochs: "{gcp: {key_ring: projects/p/locations/l/keyRings/r, credentials_file: gcp.json}}", files: map[string]string{"gcp.json": "CANARY"},
			path: "epochs.gcp", says: "gcp.json",
		},
		"PIN that others read": {
			kek: "{pkcs11: {library: x.so, token: t, label: k, pin_file: pin}}", files: map[string]string{"pin": "CANARY", "x.so": ""}, open: []string{"pin"},
			path: "kek.pkcs11", says: pkcs11Says("0644"),
		},
		"library is missing": {
			kek: "{pkcs11: {library: x.so, token: t, label: k, pin_file: pin}}", files: map[string]string{"pin": "CANARY"},
			path: "kek.pkcs11", says: pkcs11Says("x.so"),
		},
		"next is missing": {kek: "{file: kek/kek.key, next: {file: kek/next.key}}", path: "kek.next.file", says: "next.key does not exist"},
		"KEK of a backup": {
			more: "backup: {values: {directory: certs, kek: {file: kek/kek.key}}, keys: {directory: kek/b, kek: {file: b.key}}}",
			path: "backup.keys.kek.file", says: "does not exist",
		},
		"directory of a backup": {
			more: "backup: {values: {directory: certs, kek: {file: kek/kek.key}}, keys: {directory: b, kek: {file: kek/kek.key}}}",
			path: "backup.keys.directory", says: "b does not exist",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := newPlace(t)
			dir := filepath.Dir(file)
			for name, text := range test.files {
				must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			for _, name := range test.open {
				must(t, os.Chmod(filepath.Join(dir, name), 0o644))
			}
			text := small + test.more
			if test.kek != "" {
				text = strings.Replace(text, "{file: kek/kek.key}", test.kek, 1)
			}
			if test.epochs != "" {
				text = strings.Replace(text, "{directory: epochs}", test.epochs, 1)
			}
			c, err := config.Parse([]byte(text), dir)
			must(t, err)
			err = c.Check()
			if test.path == "" {
				must(t, err)
				return
			}
			var list config.Problems
			if !errors.As(err, &list) || strings.Contains(err.Error(), "CANARY") {
				t.Fatalf("err = %v, want Problems without what stands in files", err)
			}
			for _, p := range list {
				if p.Path == test.path && strings.Contains(p.Message, test.says) && p.Line > 0 {
					return
				}
			}
			t.Errorf("no problem of %s that says %q, with its line:\n%v", test.path, test.says, list)
		})
	}
}

// pkcs11Says is what a check of a token's files says, in a binary that can use
// them.
func pkcs11Says(what string) string {
	if pkcs11kek.Built {
		return what
	}
	return "cannot load a PKCS#11 library"
}

// In a service of systemd a credential that is not there is found.
func TestCheckOfCredentials(t *testing.T) {
	file := newPlace(t)
	dir := filepath.Join(t.TempDir(), "credentials")
	must(t, os.Mkdir(dir, 0o700))
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	c, err := config.Parse([]byte(strings.Replace(small, "{file: kek/kek.key}", "{credential: kek}", 1)), filepath.Dir(file))
	must(t, err)
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "kek.credential: ") {
		t.Errorf("without the credential: %v", err)
	}
	must(t, filekek.Generate(filepath.Join(dir, "kek")))
	must(t, os.Chmod(filepath.Join(dir, "kek"), 0o400))
	must(t, c.Check())
}

func TestCheckOfTimes(t *testing.T) {
	c, err := config.Load(newPlace(t))
	must(t, err)
	soon := time.Now().Add(devca.LeafValidity - time.Hour)
	if err := config.CheckAt(c, soon); err != nil {
		t.Errorf("an hour before the certificate expires: %v", err)
	}
	err = config.CheckAt(c, soon.Add(2*time.Hour))
	if err == nil || !strings.Contains(err.Error(), "tls.certificate") || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an hour after: %v", err)
	}
}

func TestCheckSaysAllAtOnce(t *testing.T) {
	file := newPlace(t)
	c, err := config.Load(file)
	must(t, err)
	for _, path := range []string{c.Directory, filepath.Dir(c.KEK.File), c.Epochs.Directory, filepath.Dir(c.TLS.Key)} {
		must(t, os.RemoveAll(path))
	}
	var list config.Problems
	if err := c.Check(); !errors.As(err, &list) {
		t.Fatalf("err = %v, want Problems", err)
	}
	var got []string
	last := 0
	for _, p := range list {
		got = append(got, p.Path)
		if p.Line <= last {
			t.Errorf("not in the order of the file: %v", p)
		}
		last = p.Line
	}
	want := []string{"directory", "tls.certificate", "tls.key", "tls.client_ca", "kek.file", "epochs.directory"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys with problems (-want +got):\n%s", diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
