package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/server/config"
)

const arn = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1"

var providers = []struct {
	text string
	want config.Provider
}{
	{`{file: kek.key}`, config.Provider{File: "/srv/kek.key"}},
	{`{credential: kek}`, config.Provider{Credential: "kek"}},
	{`{passphrase: {file: pass.kek, from_file: /run/pass}}`, config.Provider{Passphrase: &config.Passphrase{File: "/srv/pass.kek", FromFile: "/run/pass"}}},
	{`{passphrase: {file: pass.kek, from_credential: pass}}`, config.Provider{Passphrase: &config.Passphrase{File: "/srv/pass.kek", FromCredential: "pass"}}},
	{
		`{transit: {address: "https://v.example.org:8200", namespace: team/app, mount: a/transit, key: cloakroom, ca: ca.pem, timeout: 2s, token_file: token}}`,
		config.Provider{Transit: &config.Transit{
			Address: "https://v.example.org:8200", Namespace: "team/app", Mount: "a/transit", Key: "cloakroom", CA: "/srv/ca.pem",
			Timeout: 2 * time.Second, TokenFile: "/srv/token",
		}},
	},
	{
		`{transit: {address: "http://127.0.0.1:8200", key: k, approle: {role_id_file: role, secret_id_file: secret, mount: m}}}`,
		config.Provider{Transit: &config.Transit{
			Address: "http://127.0.0.1:8200", Key: "k",
			AppRole: &config.AppRole{RoleIDFile: "/srv/role", SecretIDFile: "/srv/secret", Mount: "m"},
		}},
	},
	{
		`{transit: {address: "https://v", key: k, kubernetes: {role: r, token_file: /var/t, mount: m}}}`,
		config.Provider{Transit: &config.Transit{Address: "https://v", Key: "k", Kubernetes: &config.Kubernetes{Role: "r", TokenFile: "/var/t", Mount: "m"}}},
	},
	{
		`{aws: {region: eu-central-1, key: "` + arn + `", endpoint: "https://kms.example.org", profile: p, timeout: 100ms}}`,
		config.Provider{AWS: &config.AWS{Region: "eu-central-1", Key: arn, Endpoint: "https://kms.example.org", Profile: "p", Timeout: 100 * time.Millisecond}},
	},
	{
		`{gcp: {key: projects/p/locations/l/keyRings/r/cryptoKeys/k, endpoint: "kms.example.org:443", credentials_file: gcp.json, timeout: 1m}}`,
		config.Provider{GCP: &config.GCP{
			Key: "projects/p/locations/l/keyRings/r/cryptoKeys/k", Endpoint: "kms.example.org:443", CredentialsFile: "/srv/gcp.json", Timeout: time.Minute,
		}},
	},
	{
		`{pkcs11: {library: /usr/lib/x.so, token: the token, serial: "7", pin_file: pin, module_iv: true, label: kek, id: 0102, sessions: 64, timeout: 3s}}`,
		config.Provider{PKCS11: &config.PKCS11{
			Library: "/usr/lib/x.so", Token: "the token", Serial: "7", PINFile: "/srv/pin", ModuleIV: true,
			Label: "kek", ID: []byte{1, 2}, Sessions: 64, Timeout: 3 * time.Second,
		}},
	},
	{
		`{pkcs11: {library: x.so, token: t, pin_file: pin, id: 1e10}}`, // a number to YAML
		config.Provider{PKCS11: &config.PKCS11{Library: "/srv/x.so", Token: "t", PINFile: "/srv/pin", ID: []byte{0x1e, 0x10}}},
	},
}

var epochProviders = []struct {
	text string
	want config.EpochProvider
}{
	{`{directory: epochs}`, config.EpochProvider{Directory: "/srv/epochs"}},
	{
		`{transit: {address: "https://v", prefix: vault-1, token_file: token}}`,
		config.EpochProvider{Transit: &config.Transit{Address: "https://v", Prefix: "vault-1", TokenFile: "/srv/token"}},
	},
	{
		`{aws: {region: eu-central-1, prefix: vault-1, destruction_delay: 30d, profile: p}}`,
		config.EpochProvider{AWS: &config.AWS{Region: "eu-central-1", Prefix: "vault-1", DestructionDelay: 30 * day, Profile: "p"}},
	},
	{
		`{gcp: {key_ring: projects/p/locations/l/keyRings/r, destruction_delay: 36h, hsm: true}}`,
		config.EpochProvider{GCP: &config.GCP{KeyRing: "projects/p/locations/l/keyRings/r", DestructionDelay: 36 * time.Hour, HSM: true}},
	},
	{
		`{pkcs11: {library: x.so, token: t, pin_file: pin, prefix: vault-1}}`,
		config.EpochProvider{PKCS11: &config.PKCS11{Library: "/srv/x.so", Token: "t", PINFile: "/srv/pin", Prefix: "vault-1"}},
	},
}

// Each provider is read as it is written, and written so that it is read again.
func TestProviders(t *testing.T) {
	read := func(t *testing.T, old, text string) (first, second *config.Config) {
		t.Helper()
		first, err := config.Parse([]byte(strings.Replace(small, old, text, 1)), "/srv")
		if err != nil {
			t.Fatal(err)
		}
		written, err := config.Example(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err = config.Parse(written, "/elsewhere")
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		return first, second
	}
	kinds := map[string]bool{}
	for _, p := range providers {
		t.Run(p.text, func(t *testing.T) {
			first, second := read(t, "{file: kek/kek.key}", p.text)
			for _, got := range []*config.Config{first, second} {
				if diff := cmp.Diff(p.want, got.KEK.Provider); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			if !strings.HasPrefix(p.text, "{"+first.KEK.Kind()+":") {
				t.Errorf("kind %s", first.KEK.Kind())
			}
			kinds[first.KEK.Kind()] = true
		})
	}
	for _, p := range epochProviders {
		t.Run(p.text, func(t *testing.T) {
			first, second := read(t, "{directory: epochs}", p.text)
			for _, got := range []*config.Config{first, second} {
				if diff := cmp.Diff(p.want, got.Epochs.EpochProvider); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			kinds[first.Epochs.Kind()] = true
		})
	}
	if len(kinds) != 8 {
		t.Errorf("kinds that were read: %v, want all 8", kinds)
	}
}

// A whole configuration with each provider as the next KEK and for backups.
func TestProvidersElsewhere(t *testing.T) {
	for _, p := range providers[1:] {
		text := strings.Replace(small, "{file: kek/kek.key}", "{file: kek/kek.key, next: "+p.text+"}", 1) +
			"backup: {values: {directory: a, kek: " + p.text + "}, keys: {directory: b, keep: 1d, kek: " + p.text + "}, every: 0}\n"
		c, err := config.Parse([]byte(text), "/srv")
		if err != nil {
			t.Errorf("%s: %v", p.text, err)
			continue
		}
		for _, got := range []config.Provider{*c.KEK.Next, c.Backup.Values.KEK, c.Backup.Keys.KEK} {
			if diff := cmp.Diff(p.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		written, err := config.Example(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Parse(written, "/elsewhere")
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		if diff := cmp.Diff(c, again, exported); diff != "" {
			t.Errorf("written and read again (-first +second):\n%s", diff)
		}
	}
}
