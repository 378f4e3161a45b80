//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// put makes a secret key as an administrator would, with some attributes
// changed.
func (a admin) put(label string, value []byte, changes ...*pkcs11.Attribute) {
	a.t.Helper()
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, value),
	}
	for _, c := range changes {
		found := false
		for i := range template {
			if template[i].Type == c.Type {
				template[i], found = c, true
			}
		}
		if !found {
			template = append(template, c)
		}
	}
	a.do(func(sh pkcs11.SessionHandle) {
		_, err := a.ctx.CreateObject(sh, template)
		a.check(err)
	})
}

func TestWhichKeys(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tok, a := open(t, cfg), newAdmin(t, cfg)
	set := func(typ uint, x any) []*pkcs11.Attribute {
		return []*pkcs11.Attribute{pkcs11.NewAttribute(typ, x)}
	}
	tests := []struct {
		name    string
		size    int
		changes []*pkcs11.Attribute
		want    error
		says    string
	}{
		{"good", 32, nil, nil, ""},
		{"AES-128", 16, nil, keys.ErrUsage, "AES key of 32 bytes"},
		{"not AES", 32, set(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET), keys.ErrUsage, "AES key"},
		{"extractable", 32, set(pkcs11.CKA_EXTRACTABLE, true), keys.ErrDenied, "CKA_EXTRACTABLE"},
		{"not sensitive", 32, set(pkcs11.CKA_SENSITIVE, false), keys.ErrDenied, "CKA_SENSITIVE"},
		{"does not encrypt", 32, set(pkcs11.CKA_ENCRYPT, false), keys.ErrDisabled, "CKA_ENCRYPT"},
		{"does not decrypt", 32, set(pkcs11.CKA_DECRYPT, false), keys.ErrDisabled, "CKA_DECRYPT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a.put(t.Name(), bytes.Repeat([]byte{7}, tt.size), tt.changes...)
			kek, err := tok.KEK(t.Context(), pkcs11kek.KeyRef{Label: t.Name()})
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v, want %v that says %q", err, tt.want, tt.says)
			}
			if err == nil {
				works(t, kek)
			}
		})
	}
}

// What an administrator does to a key in use is seen at its next use.
func TestKeyChangesInUse(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tok, a := open(t, cfg), newAdmin(t, cfg)
	kek := newKEK(t, tok, t.Name())
	works(t, kek)
	key := a.find(t.Name())[0]
	set := func(decrypts bool) {
		a.do(func(sh pkcs11.SessionHandle) {
			a.check(a.ctx.SetAttributeValue(sh, key, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, decrypts)}))
		})
	}
	set(false)
	if _, err := kek.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("got %v, want ErrDisabled", err)
	}
	set(true)
	works(t, kek)
	a.do(func(sh pkcs11.SessionHandle) { a.check(a.ctx.DestroyObject(sh, key)) })
	if _, err := kek.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}

func TestGenerate(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tok, a := open(t, cfg), newAdmin(t, cfg)
	ctx, label := t.Context(), t.Name()
	if err := tok.Generate(ctx, pkcs11kek.KeyRef{Label: label, ID: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range [][]byte{nil, {1}, {2}} {
		if err := tok.Generate(ctx, pkcs11kek.KeyRef{Label: label, ID: id}); !errors.Is(err, keys.ErrExists) {
			t.Errorf("a second Generate with id %x: %v, want ErrExists", id, err)
		}
	}
	if err := tok.Generate(ctx, pkcs11kek.KeyRef{ID: []byte{1}}); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("Generate without a label: %v, want ErrUsage", err)
	}
	found := a.find(label)
	if len(found) != 1 {
		t.Fatalf("%d keys, want 1", len(found))
	}
	a.do(func(sh pkcs11.SessionHandle) {
		if got, err := a.ctx.GetAttributeValue(sh, found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)}); err == nil && len(got[0].Value) > 0 {
			t.Error("the token gives the key away")
		}
		for _, typ := range []uint{pkcs11.CKA_NEVER_EXTRACTABLE, pkcs11.CKA_ALWAYS_SENSITIVE, pkcs11.CKA_PRIVATE} {
			got, err := a.ctx.GetAttributeValue(sh, found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(typ, nil)})
			a.check(err)
			if !bytes.Equal(got[0].Value, []byte{1}) {
				t.Errorf("attribute 0x%x is %x, want true", typ, got[0].Value)
			}
		}
	})
	for name, ref := range map[string]pkcs11kek.KeyRef{"label": {Label: label}, "id": {ID: []byte{1}}, "both": {label, []byte{1}}} {
		kek, err := tok.KEK(ctx, ref)
		if err != nil {
			t.Errorf("by %s: %v", name, err)
			continue
		}
		works(t, kek)
	}
	if _, err := tok.KEK(ctx, pkcs11kek.KeyRef{Label: label, ID: []byte{2}}); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("another id: %v, want ErrNoKey", err)
	}
	a.put(label, bytes.Repeat([]byte{7}, 32))
	if _, err := tok.KEK(ctx, pkcs11kek.KeyRef{Label: label}); !errors.Is(err, keys.ErrUsage) || !strings.Contains(err.Error(), "2 keys") {
		t.Errorf("a label of two keys: %v, want ErrUsage", err)
	}
}

func TestConfig(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tests := []struct {
		name   string
		change func(*pkcs11kek.Config)
		want   error
		says   string
	}{
		{"good", func(*pkcs11kek.Config) {}, nil, ""},
		{"no library", func(c *pkcs11kek.Config) { c.Library = "" }, keys.ErrUsage, "library"},
		{"no such library", func(c *pkcs11kek.Config) { c.Library = "/nowhere.so" }, keys.ErrUsage, "/nowhere.so"},
		{"not a PKCS#11 library", func(c *pkcs11kek.Config) { c.Library = "libc.so.6" }, keys.ErrUsage, "libc.so.6"},
		{"no token", func(c *pkcs11kek.Config) { c.Token = "" }, keys.ErrUsage, "0 bytes"},
		{"long token", func(c *pkcs11kek.Config) { c.Token = strings.Repeat("x", 33) }, keys.ErrUsage, "33 bytes"},
		{"no such token", func(c *pkcs11kek.Config) { c.Token = strings.Repeat("x", 32) }, keys.ErrAway, "not there"},
		{"other serial", func(c *pkcs11kek.Config) { c.Serial = "0" }, keys.ErrAway, "not there"},
		{"no PIN file", func(c *pkcs11kek.Config) { c.PINFile = "" }, keys.ErrUsage, "PIN"},
		{"65 sessions", func(c *pkcs11kek.Config) { c.Sessions = 65 }, keys.ErrUsage, "65"},
		{"64 sessions", func(c *pkcs11kek.Config) { c.Sessions = 64 }, nil, ""},
		{"-1 sessions", func(c *pkcs11kek.Config) { c.Sessions = -1 }, keys.ErrUsage, "-1"},
		{"time below zero", func(c *pkcs11kek.Config) { c.Timeout = -time.Second }, keys.ErrUsage, "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := cfg
			tt.change(&cfg)
			tok, err := pkcs11kek.Open(t.Context(), cfg)
			if err == nil {
				defer tok.Close()
			}
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v that says %q", err, tt.want, tt.says)
			}
		})
	}
	tok := open(t, cfg)
	for name, ref := range map[string]pkcs11kek.KeyRef{"empty": {}, "long label": {Label: strings.Repeat("x", 129)}, "long id": {ID: make([]byte, 65)}} {
		if _, err := tok.KEK(t.Context(), ref); !errors.Is(err, keys.ErrUsage) {
			t.Errorf("a key with %s: %v, want ErrUsage", name, err)
		}
	}
	for _, prefix := range []string{"", strings.Repeat("x", 65)} {
		if _, err := tok.Epochs(t.Context(), prefix); !errors.Is(err, keys.ErrUsage) {
			t.Errorf("a prefix of %d bytes: %v, want ErrUsage", len(prefix), err)
		}
	}
}
