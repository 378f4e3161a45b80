// Package enginetest_test runs the contract of key providers on the real
// transit engine of Vault: its keys, their storage and their archive are
// those of github.com/hashicorp/vault/sdk/helper/keysutil. Only the HTTP
// handler around it is ours, and follows the paths of Vault and OpenBao.
package enginetest_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/helper/keysutil"
	"github.com/hashicorp/vault/sdk/logical"
)

// engine is a transittest.Engine.
type engine struct {
	storage *logical.InmemStorage
	locks   *keysutil.LockManager

	mu sync.Mutex // one request at a time, which spares the locks of policies
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	locks, err := keysutil.NewLockManager(true, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &engine{storage: new(logical.InmemStorage), locks: locks}
}

// restarted is another engine on the same storage.
func (e *engine) restarted(t *testing.T) *engine {
	n := newEngine(t)
	n.storage = e.storage
	return n
}

func (e *engine) policy(name string, r keysutil.PolicyRequest) (*keysutil.Policy, bool, error) {
	r.Name, r.Storage = name, e.storage
	return e.locks.GetPolicy(context.Background(), r, rand.Reader)
}

// Do implements transittest.Engine.
func (e *engine) Do(method, path string, body map[string]any) (int, any, []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	part := strings.Split(path, "/")
	if len(part) < 2 || len(part) > 3 {
		return 404, "unsupported path", nil
	}
	name := part[1]
	p, _, err := e.policy(name, keysutil.PolicyRequest{})
	if err != nil {
		return 500, err, nil
	}
	route := method + " " + part[0] + strings.Join(part[2:], "/")
	switch route {
	case "GET keys":
		if p == nil {
			return 404, "", nil
		}
		return 200, describe(p), nil
	case "POST keys":
		return e.create(name, body)
	case "POST encrypt":
		return e.encrypt(name, p, body)
	}
	if p == nil {
		return 400, "encryption key not found", nil
	}
	switch route {
	case "POST decrypt":
		plain, err := p.DecryptWithFactory(nil, nil, str(body["ciphertext"]), data(body), nil)
		if err != nil {
			return status(err), err, nil
		}
		return 200, map[string]any{"plaintext": plain}, nil
	case "POST keysrotate":
		if err := p.Rotate(context.Background(), e.storage, rand.Reader); err != nil {
			return status(err), err, nil
		}
	case "POST keysconfig":
		return e.config(p, body)
	case "POST keystrim":
		return e.trim(p, number(body["min_available_version"]))
	default:
		return 404, "unsupported path", nil
	}
	return 200, describe(p), nil
}

func (e *engine) create(name string, body map[string]any) (int, any, []string) {
	p, made, err := e.policy(name, keysutil.PolicyRequest{
		Upsert: true, KeyType: keysutil.KeyType_AES256_GCM96,
		Exportable: body["exportable"] == true, AllowPlaintextBackup: body["allow_plaintext_backup"] == true,
	})
	switch {
	case err != nil:
		return status(err), err, nil
	case !made:
		return 200, describe(p), []string{fmt.Sprintf("key %s already existed", name)}
	}
	return 200, describe(p), nil
}

// encrypt makes a missing key, as the engine does, unless the type forbids it.
func (e *engine) encrypt(name string, p *keysutil.Policy, body map[string]any) (int, any, []string) {
	if p == nil {
		if kind := str(body["type"]); kind != "" && kind != "aes256-gcm96" {
			return 400, "key type " + kind + " not supported for this operation", nil
		}
		var err error
		if p, _, err = e.policy(name, keysutil.PolicyRequest{Upsert: true, KeyType: keysutil.KeyType_AES256_GCM96}); err != nil {
			return status(err), err, nil
		}
	}
	text, err := p.EncryptWithFactory(number(body["key_version"]), nil, nil, str(body["plaintext"]), data(body))
	if err != nil {
		return status(err), err, nil
	}
	return 200, map[string]any{"ciphertext": text}, nil
}

func (e *engine) config(p *keysutil.Policy, body map[string]any) (int, any, []string) {
	dec, enc := number(body["min_decryption_version"]), number(body["min_encryption_version"])
	switch {
	case dec < 1 || dec > p.LatestVersion:
		return 400, "cannot set min decryption version", nil
	case enc > p.LatestVersion || enc > 0 && enc < dec:
		return 400, "cannot set min encryption version", nil
	case p.MinAvailableVersion > enc || p.MinAvailableVersion > dec:
		return 400, "min version should not be less than min available version", nil
	}
	p.MinDecryptionVersion, p.MinEncryptionVersion = dec, enc
	p.DeletionAllowed = body["deletion_allowed"] == true
	if err := p.Persist(context.Background(), e.storage); err != nil {
		return status(err), err, nil
	}
	return 200, describe(p), nil
}

func (e *engine) trim(p *keysutil.Policy, n int) (int, any, []string) {
	switch {
	case n < 1 || n < p.MinAvailableVersion:
		return 400, "minimum available version cannot be decremented", nil
	case p.MinEncryptionVersion == 0 || p.MinDecryptionVersion == 0:
		return 400, "minimum versions are not set", nil
	case n > p.MinEncryptionVersion || n > p.MinDecryptionVersion:
		return 400, "minimum available version cannot be greater than the others", nil
	}
	p.MinAvailableVersion = n
	if err := p.Persist(context.Background(), e.storage); err != nil {
		return status(err), err, nil
	}
	return 200, describe(p), nil
}

func describe(p *keysutil.Policy) map[string]any {
	versions := map[string]int64{}
	for v, k := range p.Keys {
		versions[v] = k.DeprecatedCreationTime
	}
	return map[string]any{
		"name": p.Name, "type": p.Type.String(), "derived": p.Derived, "deletion_allowed": p.DeletionAllowed,
		"min_available_version": p.MinAvailableVersion, "min_decryption_version": p.MinDecryptionVersion,
		"min_encryption_version": p.MinEncryptionVersion, "latest_version": p.LatestVersion,
		"exportable": p.Exportable, "allow_plaintext_backup": p.AllowPlaintextBackup, "keys": versions,
	}
}

// associated is the engine's own way to be given associated data.
type associated struct{ text string }

// GetAssociatedData implements keysutil.AssociatedDataFactory.
func (a associated) GetAssociatedData() ([]byte, error) {
	return base64.StdEncoding.DecodeString(a.text)
}

func data(body map[string]any) any {
	if text := str(body["associated_data"]); text != "" {
		return associated{text}
	}
	return nil
}

func status(err error) int {
	var user errutil.UserError
	if errors.As(err, &user) {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int {
	f, _ := v.(float64)
	return int(f)
}
