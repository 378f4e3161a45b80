package main_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

// prepare writes a configuration by hand, as a person who has a key service
// would, and returns its folder.
func prepare(t *testing.T, kek, epochs string, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	all := map[string]string{"cloakroom.yaml": fmt.Sprintf(`directory: data
listen: 127.0.0.1:0
tls: {certificate: certs/server.crt, key: certs/server.key, client_ca: certs/ca.crt}
kek: %s
epochs: %s
`, kek, epochs)}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// TestTransitVault: a vault whose KEK and epochs are in a transit engine, from
// the configuration to a policy in force, and what is said when the engine is
// in trouble.
func TestTransitVault(t *testing.T) {
	t.Parallel()
	engine := transittest.New()
	engine.Logins["auth/approle/login"] = transittest.Login{In: map[string]string{"role_id": "the-role", "secret_id": "CANARY-secret"}}
	if status, _, _ := engine.Engine.Do(http.MethodPost, "keys/cloakroom", nil); status >= 300 {
		t.Fatalf("the engine answers %d", status)
	}
	options := fmt.Sprintf(`address: "%s", mount: %s, approle: {role_id_file: role.id, secret_id_file: secret.id}`, engine.Start(t), transittest.Mount)
	dir := prepare(t, "{transit: {"+options+", key: cloakroom}}", "{transit: {"+options+", prefix: vault-1}}",
		map[string]string{"role.id": "the-role\n", "secret.id": "CANARY-secret\n"})
	file := filepath.Join(dir, "cloakroom.yaml")
	r := run(t, nil, daemonPath, "init", "--config", file, "--admin", "spiffe://cloakroom.example/admin").want(t, 0)
	for _, text := range []string{"KEK                         by transit", "serve --config " + file} {
		if !strings.Contains(r.out, text) {
			t.Errorf("init does not say %q:\n%s", text, r.out)
		}
	}
	run(t, nil, daemonPath, "check-config", file).want(t, 0)
	run(t, nil, daemonPath, "make-kek", "--config", file).want(t, 1, "make kek: ", "transit")
	p := serve(t, dir)
	p.applyDemoPolicy()
	p.stop()
	p = serve(t, dir)
	if who, err := p.as("admin").WhoAmI(t.Context()); err != nil || who.PolicyVersion != 1 {
		t.Errorf("after a restart: %+v, %v", who, err)
	}
	p.stop()
	for _, trouble := range []struct {
		name string
		make func()
		says []string
	}{
		{"away", func() { engine.Break(transittest.Status(http.StatusServiceUnavailable)) }, []string{"open kek.transit: ", "hint: the key provider does not answer"}},
		{"denied", func() { engine.Break(transittest.Status(http.StatusForbidden)) }, []string{"open kek.transit: ", "hint: the key provider refuses this process"}},
	} {
		trouble.make()
		r := run(t, nil, daemonPath, "serve", "--config", file).want(t, 1, trouble.says...)
		if strings.Contains(r.errors, "CANARY") {
			t.Errorf("%s: a secret is told:\n%s", trouble.name, r.errors)
		}
	}
}

// TestInitWithConfiguration: what a person gets wrong is said, and nothing is
// left behind.
func TestInitWithConfiguration(t *testing.T) {
	t.Parallel()
	const file, epochs = "{file: kek/kek.key}", "{directory: epochs}"
	for _, c := range []struct {
		name, kek, epochs string
		args              []string
		code              int
		says              []string
	}{
		{"no such key", file, epochs, nil, 1, []string{"kek.file", "kek.key does not exist", "make-kek"}},
		{"two providers", "{file: a, credential: b}", epochs, nil, 1, []string{"line 4: kek: want exactly one of"}},
		{"a directory besides", file, epochs, []string{"vault"}, 2, []string{"--help"}},
		{"an address besides", file, epochs, []string{"--listen", "127.0.0.1:1"}, 2, []string{"--listen"}},
		{"no principal", file, epochs, []string{"--admin", "Ada"}, 1, []string{"spiffe://"}},
		{"a service that nobody runs", `{transit: {address: "http://127.0.0.1:1", key: k, token_file: cloakroom.yaml}}`, epochs, nil, 1, []string{"kek.transit", "visible ASCII"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := prepare(t, c.kek, c.epochs, nil)
			args := append([]string{"init", "--config", filepath.Join(dir, "cloakroom.yaml")}, c.args...)
			run(t, nil, daemonPath, args...).want(t, c.code, c.says...)
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("%v was left behind, %v", entries, err)
			}
		})
	}
}

// TestMakeKEK: from a configuration alone to a vault that serves, with a key
// file and with a passphrase.
func TestMakeKEK(t *testing.T) {
	t.Parallel()
	dir := prepare(t, "{passphrase: {file: kek/pass.kek, from_file: phrase}, next: {file: kek/next.key}}", "{directory: epochs}",
		map[string]string{"phrase": "CANARY horse battery staple\n"})
	file := filepath.Join(dir, "cloakroom.yaml")
	run(t, nil, daemonPath, "make-kek").want(t, 2, "config")
	run(t, nil, daemonPath, "make-kek", "--config", file, "--which", "backup.keys.kek").want(t, 2, "it has kek, kek.next")
	for _, which := range []string{"kek", "kek.next"} {
		run(t, nil, daemonPath, "make-kek", "--config", file, "--which", which).want(t, 0)
		run(t, nil, daemonPath, "make-kek", "--config", file, "--which", which).want(t, 1, "make "+which, "exists already", "hint: ")
	}
	run(t, nil, daemonPath, "init", "--config", file).want(t, 0)
	run(t, nil, daemonPath, "init", "--config", file).want(t, 1, "not empty")
	p := serve(t, dir)
	p.stop()
	if strings.Contains(p.log.String(), "CANARY") {
		t.Error("the passphrase is told")
	}
	check(t, os.WriteFile(filepath.Join(dir, "phrase"), []byte("CANARY horse battery stable\n"), 0o600))
	r := run(t, nil, daemonPath, "serve", "--config", file).want(t, 1, "open kek.passphrase: ")
	if strings.Contains(r.errors, "CANARY") {
		t.Errorf("the passphrase is told:\n%s", r.errors)
	}
}
