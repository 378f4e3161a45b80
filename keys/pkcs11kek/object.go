//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const keySize = 32

// search returns the objects that fit. That there are none is believed only of
// a session that is still logged in.
func (t *Token) search(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	found, err := t.module.find(sh, template)
	if err == nil && len(found) == 0 {
		err = t.loggedIn(sh)
	}
	return found, err
}

// none returns the error for a search that found nothing: ErrNoKey, when the
// token itself is still there. Some modules answer for one that was taken away
// as if it were empty.
func (t *Token) none(what string) error {
	if _, _, err := t.slot(); err != nil {
		return err
	}
	return fmt.Errorf("%w: token %q has no %s", keys.ErrNoKey, t.cfg.Token, what)
}

// keyTemplate is what a search for a key asks for.
func keyTemplate(ref KeyRef) []*pkcs11.Attribute {
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
	}
	if ref.Label != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, ref.Label))
	}
	if len(ref.ID) > 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, ref.ID))
	}
	return template
}

// oneKey finds the one key of ref and checks it.
func (t *Token) oneKey(sh pkcs11.SessionHandle, ref KeyRef) (pkcs11.ObjectHandle, error) {
	found, err := t.search(sh, keyTemplate(ref))
	switch {
	case err != nil:
		return 0, err
	case len(found) == 0:
		return 0, t.none(fmt.Sprintf("key %q", ref))
	case len(found) > 1:
		return 0, fmt.Errorf("%w: token %q has %d keys %q: name label and id", keys.ErrUsage, t.cfg.Token, len(found), ref)
	}
	return found[0], t.checkKey(sh, found[0], ref)
}

// checkKey refuses a key that does not protect what it wraps.
func (t *Token) checkKey(sh pkcs11.SessionHandle, key pkcs11.ObjectHandle, ref KeyRef) error {
	got, err := t.module.attributes(sh, key, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_VALUE_LEN, pkcs11.CKA_SENSITIVE,
		pkcs11.CKA_EXTRACTABLE, pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT)
	if err != nil {
		return err
	}
	is := func(i int, want any) bool {
		return bytes.Equal(got[i].Value, pkcs11.NewAttribute(got[i].Type, want).Value)
	}
	switch {
	case !is(0, pkcs11.CKK_AES) || !is(1, keySize):
		return fmt.Errorf("%w: key %q is not an AES key of %d bytes", keys.ErrUsage, ref, keySize)
	case !is(2, true) || !is(3, false):
		return fmt.Errorf("%w: key %q can be taken out of the token: CKA_SENSITIVE must be true and CKA_EXTRACTABLE false", keys.ErrDenied, ref)
	case !is(4, true) || !is(5, true):
		return fmt.Errorf("%w: key %q: CKA_ENCRYPT and CKA_DECRYPT must be true", keys.ErrDisabled, ref)
	}
	return nil
}

// makeKey makes a key that never leaves the token.
func (t *Token) makeKey(sh pkcs11.SessionHandle, ref KeyRef) error {
	return t.module.generate(sh, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, keySize),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, ref.Label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, ref.ID),
	})
}

// makeNew makes the key of ref, or returns ErrExists when there is one of its
// label. tried remembers that this very call began to make it, for when it is
// repeated because its session was lost: then a key of ref's id is its own.
func (t *Token) makeNew(sh pkcs11.SessionHandle, ref KeyRef, tried *bool) error {
	found, err := t.search(sh, keyTemplate(KeyRef{Label: ref.Label}))
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		*tried = true
		return t.makeKey(sh, ref)
	case *tried:
		if own, err := t.search(sh, keyTemplate(ref)); err != nil || len(own) > 0 {
			return err
		}
	}
	return fmt.Errorf("%w: token %q has a key %q", keys.ErrExists, t.cfg.Token, ref.Label)
}

func newKeyID() []byte {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return id
}
