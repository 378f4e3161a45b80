package transitkek

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// A KEK is a keys.KEK whose key stays in a transit engine. It is safe for
// concurrent use. Close it when it is no longer needed.
type KEK struct {
	e   *engine
	key string
}

var _ keys.KEK = (*KEK)(nil)

// Open logs in and looks at the key, which must be there: an operator makes
// it. ErrUsage names a field of o that is not as it should be, or says that
// the key is of another type; ErrNoKey when there is no such key or engine;
// ErrDenied, ErrAway, ErrDisabled, or the context's.
func Open(ctx context.Context, o Options) (*KEK, error) {
	return open(ctx, o, nil, firstBackoff)
}

func open(ctx context.Context, o Options, rt http.RoundTripper, backoff time.Duration) (*KEK, error) {
	if err := checkName("Key", o.Key); err != nil {
		return nil, err
	}
	e, err := newEngine(ctx, o, rt, backoff)
	if err != nil {
		return nil, err
	}
	k := &KEK{e, o.Key}
	st, err := e.read(ctx, o.Key)
	if err == nil {
		err = cmp.Or(st.fits(), st.usable(0))
	}
	if err != nil {
		k.Close()
		return nil, fmt.Errorf("key %s: %w", o.Key, err)
	}
	return k, nil
}

func newEngine(ctx context.Context, o Options, rt http.RoundTripper, backoff time.Duration) (*engine, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	s, err := newSession(ctx, o, rt, backoff)
	if err != nil {
		return nil, err
	}
	return &engine{s, o.Mount}, nil
}

// Close ends the renewal of the token, and revokes a token that Open logged
// in for. It takes Options.Timeout at most. Nothing may be called after it.
func (k *KEK) Close() { k.e.s.close() }

// Name implements keys.KEK: "transit", mount and key.
func (k *KEK) Name() string { return "transit/" + k.e.mount + "/" + k.key }

// String implements fmt.Stringer.
func (k *KEK) String() string { return k.Name() }

// Wrap implements keys.KEK, under the latest version of the key.
func (k *KEK) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	return k.e.encrypt(ctx, k.key, 0, plaintext, aad)
}

// Unwrap implements keys.KEK.
func (k *KEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	return k.e.unwrap(ctx, k.key, blob, aad)
}

func (e *engine) unwrap(ctx context.Context, key string, blob, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text, version, err := openBlob(blob)
	if err != nil {
		return nil, err
	}
	return e.decrypt(ctx, key, version, text, bound(aad))
}

func isWrong(err error) bool { return errors.Is(err, keys.ErrWrongKey) }

// orWrong is err, or says that what came back was something else.
func orWrong(err error) error {
	if err == nil {
		return fmt.Errorf("%w: it opens to something else", keys.ErrWrongKey)
	}
	return err
}
