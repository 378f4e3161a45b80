//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	tombApplication = "cloakroom"
	tombValue       = "cloakroom-epoch-destroyed-v1"
)

// Epochs is a keys.EpochKEK that keeps one key an epoch in a Token. It is safe
// for concurrent use.
type Epochs struct {
	token  *Token
	prefix string
}

var _ keys.EpochKEK = (*Epochs)(nil)

// Epochs returns the epochs whose labels begin with prefix, 1 to 64 bytes. Each
// vault in a token needs a prefix of its own. Errors: ErrUsage, and those of
// reaching the token.
func (t *Token) Epochs(ctx context.Context, prefix string) (*Epochs, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	if _, err := t.run(ctx, nil, func(pkcs11.SessionHandle) ([]byte, error) { return nil, nil }); err != nil {
		return nil, err
	}
	return &Epochs{t, prefix}, nil
}

// Name implements keys.EpochKEK: "pkcs11-epochs/", the token's label, and the
// prefix.
func (e *Epochs) Name() string { return "pkcs11-epochs/" + e.token.cfg.Token + "/" + e.prefix }

// String implements fmt.Stringer.
func (e *Epochs) String() string { return e.Name() }

func (e *Epochs) keyLabel(epoch uint32) string { return fmt.Sprintf("%sepoch-%010d", e.prefix, epoch) }

func (e *Epochs) tombTemplate(epoch uint32) []*pkcs11.Attribute {
	return []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_APPLICATION, tombApplication),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, e.keyLabel(epoch)+".destroyed"),
	}
}

// destroyed returns ErrDestroyed when there is a tombstone.
func (e *Epochs) destroyed(sh pkcs11.SessionHandle, epoch uint32) error {
	found, err := e.token.search(sh, e.tombTemplate(epoch))
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: epoch %d", keys.ErrDestroyed, epoch)
	}
	return err
}

// Create implements keys.EpochKEK.
func (e *Epochs) Create(ctx context.Context, epoch uint32) error {
	ref, tried := KeyRef{e.keyLabel(epoch), newKeyID()}, false
	_, err := e.token.run(ctx, nil, func(sh pkcs11.SessionHandle) ([]byte, error) {
		e.token.epochsMu.Lock()
		defer e.token.epochsMu.Unlock()
		if err := ctx.Err(); err != nil { // gone while we waited
			return nil, err
		}
		if err := e.destroyed(sh, epoch); err != nil {
			return nil, err
		}
		return nil, e.token.makeNew(sh, ref, &tried)
	})
	return err
}

// use calls f with the keys of an epoch; there is more than one only after two
// processes raced to create it. They stand in an order that is always the
// same.
func (e *Epochs) use(ctx context.Context, epoch uint32, in []byte, f func(sh pkcs11.SessionHandle, found []pkcs11.ObjectHandle) ([]byte, error)) ([]byte, error) {
	return e.token.run(ctx, in, func(sh pkcs11.SessionHandle) ([]byte, error) {
		e.token.epochsMu.RLock()
		defer e.token.epochsMu.RUnlock()
		if err := e.destroyed(sh, epoch); err != nil {
			return nil, err
		}
		found, err := e.keys(sh, epoch)
		if err == nil && len(found) == 0 {
			err = e.token.none(fmt.Sprintf("key of epoch %d", epoch))
		}
		for _, key := range found {
			if err == nil {
				err = e.token.checkKey(sh, key, KeyRef{Label: e.keyLabel(epoch)})
			}
		}
		if err != nil {
			return nil, err
		}
		return f(sh, found)
	})
}

// keys returns the keys of an epoch by rising id.
func (e *Epochs) keys(sh pkcs11.SessionHandle, epoch uint32) ([]pkcs11.ObjectHandle, error) {
	found, err := e.token.search(sh, keyTemplate(KeyRef{Label: e.keyLabel(epoch)}))
	if err != nil || len(found) < 2 {
		return found, err
	}
	ids := make(map[pkcs11.ObjectHandle][]byte, len(found))
	for _, key := range found {
		got, err := e.token.module.attributes(sh, key, pkcs11.CKA_ID)
		if err != nil {
			return nil, err
		}
		ids[key] = got[0].Value
	}
	slices.SortFunc(found, func(a, b pkcs11.ObjectHandle) int { return bytes.Compare(ids[a], ids[b]) })
	return found, nil
}

// Wrap implements keys.EpochKEK.
func (e *Epochs) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error) {
	if err := checkPlaintext(plaintext); err != nil {
		return nil, err
	}
	in, bound := bytes.Clone(plaintext), epochAAD(epoch, aad)
	return e.use(ctx, epoch, in, func(sh pkcs11.SessionHandle, found []pkcs11.ObjectHandle) ([]byte, error) {
		return e.token.wrap(sh, found[0], in, bound)
	})
}

// Unwrap implements keys.EpochKEK.
func (e *Epochs) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	badForm := checkBlob(blob) // told last: whose epoch is gone need not look at its blobs
	in, bound := bytes.Clone(blob), epochAAD(epoch, aad)
	return e.use(ctx, epoch, in, func(sh pkcs11.SessionHandle, found []pkcs11.ObjectHandle) (out []byte, err error) {
		if badForm != nil {
			return nil, badForm
		}
		for _, key := range found {
			if out, err = e.token.unwrap(sh, key, in, bound); !errors.Is(err, keys.ErrWrongKey) {
				break
			}
		}
		return out, err
	})
}

// Destroy implements keys.EpochKEK. The tombstone comes first: from then on
// the key is refused, and a Destroy that was cut off is finished by the next.
func (e *Epochs) Destroy(ctx context.Context, epoch uint32) error {
	_, err := e.token.run(ctx, nil, func(sh pkcs11.SessionHandle) ([]byte, error) {
		e.token.epochsMu.Lock()
		defer e.token.epochsMu.Unlock()
		if err := ctx.Err(); err != nil { // gone while we waited
			return nil, err
		}
		return nil, e.destroy(sh, epoch)
	})
	return err
}

// Destruction implements keys.EpochKEK.
func (e *Epochs) Destruction() keys.Destruction {
	return keys.Destruction{
		How: "the key is removed from the PKCS#11 token by C_DestroyObject; clones and backups of the token made by the vendor's tools are not reached",
	}
}

func (e *Epochs) destroy(sh pkcs11.SessionHandle, epoch uint32) error {
	found, err := e.keys(sh, epoch)
	if err != nil {
		return err
	}
	switch err := e.destroyed(sh, epoch); {
	case errors.Is(err, keys.ErrDestroyed):
	case err != nil:
		return err
	case len(found) == 0:
		return e.token.none(fmt.Sprintf("key of epoch %d", epoch))
	default:
		tomb := append(e.tombTemplate(epoch),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
			pkcs11.NewAttribute(pkcs11.CKA_VALUE, tombValue))
		if err := e.token.module.create(sh, tomb); err != nil {
			return err
		}
	}
	for _, key := range found {
		if err := e.token.module.destroy(sh, key); err != nil {
			return err
		}
	}
	if found, err = e.keys(sh, epoch); err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: token %q still shows %d keys of epoch %d", keys.ErrAway, e.token.cfg.Token, len(found), epoch)
	}
	return err
}
