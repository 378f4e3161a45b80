//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"bytes"
	"context"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// A KEK is a keys.KEK whose key lives in a Token. It is safe for concurrent
// use.
type KEK struct {
	token *Token
	ref   KeyRef
}

var _ keys.KEK = (*KEK)(nil)

// Generate makes an AES-256 key that never leaves the token. The label must
// be set; an empty ID becomes a random one of 16 bytes. ErrExists when the
// token has a key of that label.
func (t *Token) Generate(ctx context.Context, ref KeyRef) error {
	if err := ref.check(); err != nil {
		return err
	}
	if ref.Label == "" {
		return fmt.Errorf("%w: a new key without a label", keys.ErrUsage)
	}
	if len(ref.ID) == 0 {
		ref.ID = newKeyID()
	}
	ref.ID = bytes.Clone(ref.ID)
	tried := false
	_, err := t.run(ctx, nil, func(sh pkcs11.SessionHandle) ([]byte, error) {
		t.epochsMu.Lock() // labels are unique only as long as nobody races
		defer t.epochsMu.Unlock()
		if err := ctx.Err(); err != nil { // gone while we waited
			return nil, err
		}
		return nil, t.makeNew(sh, ref, &tried)
	})
	return err
}

// KEK returns the KEK whose key ref names, after looking that it is there and
// fit. Errors: ErrNoKey, ErrUsage when ref names several keys or the key is not
// AES-256, ErrDenied when it could leave the token, ErrDisabled, ErrAway, or
// the context's. Wrap and Unwrap look again and have these errors too.
func (t *Token) KEK(ctx context.Context, ref KeyRef) (*KEK, error) {
	if err := ref.check(); err != nil {
		return nil, err
	}
	ref.ID = bytes.Clone(ref.ID)
	_, err := t.run(ctx, nil, func(sh pkcs11.SessionHandle) ([]byte, error) {
		_, err := t.oneKey(sh, ref)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return &KEK{t, ref}, nil
}

// Name implements keys.KEK: "pkcs11/", the token's label, and the key's label
// or id.
func (k *KEK) Name() string { return "pkcs11/" + k.token.cfg.Token + "/" + k.ref.String() }

// String implements fmt.Stringer.
func (k *KEK) String() string { return k.Name() }

// Wrap implements keys.KEK.
func (k *KEK) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if err := checkPlaintext(plaintext); err != nil {
		return nil, err
	}
	// The call may outlive this one, and its caller may then write over these.
	in, bound := bytes.Clone(plaintext), kekAAD(aad)
	return k.token.run(ctx, in, func(sh pkcs11.SessionHandle) ([]byte, error) {
		key, err := k.token.oneKey(sh, k.ref)
		if err != nil {
			return nil, err
		}
		return k.token.wrap(sh, key, in, bound)
	})
}

// Unwrap implements keys.KEK.
func (k *KEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if err := checkBlob(blob); err != nil {
		return nil, err
	}
	in, bound := bytes.Clone(blob), kekAAD(aad)
	return k.token.run(ctx, in, func(sh pkcs11.SessionHandle) ([]byte, error) {
		key, err := k.token.oneKey(sh, k.ref)
		if err != nil {
			return nil, err
		}
		return k.token.unwrap(sh, key, in, bound)
	})
}
