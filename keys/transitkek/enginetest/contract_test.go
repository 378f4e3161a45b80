package enginetest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/keysutil"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

const token = "hvs.token"

func serve(t *testing.T, e *engine, key string) transitkek.Options {
	t.Helper()
	s := transittest.NewOf(e)
	s.AddToken(token, 0)
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return transitkek.Options{
		Address: s.Start(t), Mount: transittest.Mount, Key: key, Prefix: "cloakroom",
		Auth: transitkek.Auth{TokenFile: path},
	}
}

func openKEK(t *testing.T, o transitkek.Options) *transitkek.KEK {
	t.Helper()
	k, err := transitkek.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func openEpochs(t *testing.T, o transitkek.Options) *transitkek.Epochs {
	t.Helper()
	e, err := transitkek.OpenEpochs(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestKEK(t *testing.T) {
	e := newEngine(t)
	names := map[keys.KEK]string{}
	var made atomic.Int32
	open := func(t *testing.T, e *engine, name string) keys.KEK {
		k := openKEK(t, serve(t, e, name))
		names[k] = name
		return k
	}
	keystest.RunKEK(t, keystest.Harness{
		New: func(t *testing.T) keys.KEK {
			name := fmt.Sprintf("key-%d", made.Add(1))
			e.Do(http.MethodPost, "keys/"+name, map[string]any{})
			return open(t, e, name)
		},
		Reopen: func(t *testing.T, k keys.KEK) keys.KEK { return open(t, e.restarted(t), names[k]) },
	})
}

func TestEpochs(t *testing.T) {
	engines := map[keys.EpochKEK]*engine{}
	open := func(t *testing.T, e *engine) keys.EpochKEK {
		k := openEpochs(t, serve(t, e, ""))
		engines[k] = e
		return k
	}
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New:    func(t *testing.T) keys.EpochKEK { return open(t, newEngine(t)) },
		Reopen: func(t *testing.T, k keys.EpochKEK) keys.EpochKEK { return open(t, engines[k].restarted(t)) },
	})
}

// What was wrapped under an older version of a KEK opens after the key was
// rotated, and after the old version was put out of use the error says so.
func TestRotatedKEK(t *testing.T) {
	e := newEngine(t)
	e.Do(http.MethodPost, "keys/kek", map[string]any{})
	k := openKEK(t, serve(t, e, "kek"))
	old, err := k.Wrap(t.Context(), []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	e.Do(http.MethodPost, "keys/kek/rotate", nil)
	fresh, err := k.Wrap(t.Context(), []byte("plain"), []byte("aad"))
	if err != nil || !strings.HasPrefix(string(fresh[1:]), "vault:v2:") {
		t.Fatalf("wrapped after a rotation: %.10q, %v", fresh, err)
	}
	if _, err := k.Unwrap(t.Context(), old, []byte("aad")); err != nil {
		t.Errorf("the old version: %v", err)
	}
	limits := map[string]any{"min_decryption_version": 2.0, "min_encryption_version": 2.0}
	e.Do(http.MethodPost, "keys/kek/config", limits)
	if _, err := k.Unwrap(t.Context(), old, []byte("aad")); !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("below min_decryption_version: %v, want ErrDisabled", err)
	}
	e.Do(http.MethodPost, "keys/kek/trim", map[string]any{"min_available_version": 2.0})
	if _, err := k.Unwrap(t.Context(), old, []byte("aad")); !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("trimmed: %v, want ErrDestroyed", err)
	}
	if _, err := k.Unwrap(t.Context(), fresh, []byte("aad")); err != nil {
		t.Errorf("the new version: %v", err)
	}
}

// Wrap must not make the engine make a key.
func TestWrapMakesNoKey(t *testing.T) {
	e := newEngine(t)
	e.Do(http.MethodPost, "keys/kek", map[string]any{})
	k := openKEK(t, serve(t, e, "kek"))
	p, _, err := e.policy("kek", keysutil.PolicyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	p.DeletionAllowed = true
	if err := e.locks.DeletePolicy(context.Background(), e.storage, "kek"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Wrap(t.Context(), []byte("plain"), nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("Wrap under a key that was deleted: %v, want ErrNoKey", err)
	}
	if status, _, _ := e.Do(http.MethodGet, "keys/kek", nil); status != 404 {
		t.Error("Wrap made a key")
	}
}

// After Destroy the engine's storage holds the key nowhere, neither with the
// key's versions nor in the archive that the engine keeps beside them.
func TestDestroyReachesTheStorage(t *testing.T) {
	e := newEngine(t)
	epochs := openEpochs(t, serve(t, e, ""))
	if err := epochs.Create(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	p, _, err := e.policy("cloakroom-epoch-7", keysutil.PolicyRequest{})
	if err != nil || p == nil || len(p.Keys["1"].Key) != 32 {
		t.Fatalf("the epoch's key: %v", err)
	}
	texts := []string{base64.StdEncoding.EncodeToString(p.Keys["1"].Key), base64.StdEncoding.EncodeToString(p.Keys["1"].HMACKey)}
	if n := e.holding(t, texts[0]); n < 1 {
		t.Fatal("the storage does not hold a living key in the form looked for")
	}
	if err := epochs.Destroy(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if n := e.holding(t, text); n > 0 {
			t.Errorf("%d entries of the storage still hold the destroyed key", n)
		}
	}
}

// holding counts the entries that hold a text.
func (e *engine) holding(t *testing.T, text string) (n int) {
	t.Helper()
	for _, folder := range []string{"policy/", "archive/"} {
		names, err := e.storage.List(context.Background(), folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			entry, err := e.storage.Get(context.Background(), folder+name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(entry.Value), text) {
				n++
			}
		}
	}
	return n
}
