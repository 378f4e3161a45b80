package gcpkek_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/gcpkek"
)

func TestCredentialsFile(t *testing.T) {
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "1", "client_email": "v@p.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.example.org/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want error // nil: it is good
	}{
		"service account": {string(account), 0o640, nil},
		"open to others":  {string(account), 0o644, keys.ErrDenied},
		"no JSON":         {"CANARY", 0o600, keys.ErrUsage},
		"another type":    {`{"type": "CANARY"}`, 0o600, keys.ErrUsage},
		"too long":        {string(account) + strings.Repeat(" ", 64<<10), 0o600, keys.ErrUsage},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := errors.Join(os.WriteFile(path, []byte(c.text), 0o600), os.Chmod(path, c.mode)); err != nil {
				t.Fatal(err)
			}
			access := gcpkek.Access{CredentialsFile: path}
			checked := access.CheckFiles()
			k, opened := gcpkek.Open(t.Context(), gcpkek.Options{KeyName: ring + "/cryptoKeys/k", Access: access})
			if opened == nil {
				_ = k.Close()
			}
			for _, err := range []error{checked, opened} {
				if !errors.Is(err, c.want) {
					t.Errorf("err = %v, want %v", err, c.want)
				}
				if err != nil && (!strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "CANARY")) {
					t.Errorf("err = %v, want one that names the file and shows nothing of it", err)
				}
			}
		})
	}
	if err := (gcpkek.Access{CredentialsFile: filepath.Join(dir, "none")}).CheckFiles(); !errors.Is(err, keys.ErrDenied) {
		t.Errorf("no such file: %v", err)
	}
	if err := (gcpkek.Access{}).CheckFiles(); err != nil {
		t.Errorf("no file is named: %v", err)
	}
}
