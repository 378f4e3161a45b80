package filekek

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// A KEK is a keys.KEK whose key was read from a file or made of a passphrase. It is safe for
// concurrent use and prints as its name.
//
// It looks at the file again at each use, which is rare: who takes the file
// away, or takes the right to it from the service, wants the key not to be used.
// ErrAway when it is not there or cannot be read, ErrDenied when owner, mode or
// type are wrong, ErrWrongKey when something else is in it.
type KEK struct {
	c    *fileCipher
	from source
	text [sha256.Size]byte // hash of what the file held
}

var _ keys.KEK = (*KEK)(nil)

// Generate makes a fresh key and writes it to path with mode 0600, whole and
// durable. It never replaces a file: ErrExists.
func Generate(path string) error {
	var key [keys.SecretSize]byte
	_, _ = rand.Read(key[:])
	defer clear(key[:])
	text := formatKey(kekPrefix, &key)
	defer clear(text)
	err := writeNew(path, text)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: key file %s", keys.ErrExists, path)
	case err != nil:
		return fmt.Errorf("writing key file: %w", err)
	}
	return nil
}

// Open reads a key file that Generate wrote. ErrNoKey when there is none,
// ErrDenied when its owner, mode or type is not as the package demands,
// ErrFormat when it is something else, ErrAway when it cannot be read.
func Open(path string) (*KEK, error) {
	return keyFile(path).open()
}

func (s source) open() (*KEK, error) {
	text, err := s.read()
	defer clear(text)
	if err != nil {
		return nil, err
	}
	var key [keys.SecretSize]byte
	defer clear(key[:])
	if err := parseKey(s.what+" "+s.path, kekPrefix, text, &key); err != nil {
		return nil, err
	}
	return s.newKEK(text, &key)
}

// newKEK is the KEK of a key that came from the text of the source.
func (s source) newKEK(text []byte, key *[keys.SecretSize]byte) (*KEK, error) {
	c, err := newCipher(key)
	if err != nil {
		return nil, err
	}
	return &KEK{c, s, sha256.Sum256(text)}, nil
}

// there looks whether the file is still what it was.
func (k *KEK) there(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	text, err := k.from.read()
	defer clear(text)
	switch {
	case errors.Is(err, keys.ErrNoKey):
		return fmt.Errorf("%w: %s %s is not there any more", keys.ErrAway, k.from.what, k.from.path)
	case err != nil:
		return err
	case sha256.Sum256(text) != k.text:
		return fmt.Errorf("%w: %s %s holds something else than when it was opened", keys.ErrWrongKey, k.from.what, k.from.path)
	}
	return nil
}

// Name implements keys.KEK: "file/" and the key's fingerprint, wherever the
// file lies.
func (k *KEK) Name() string { return "file/" + k.c.print.String() }

// String implements fmt.Stringer.
func (k *KEK) String() string { return k.Name() }

// Wrap implements keys.KEK.
func (k *KEK) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if err := k.there(ctx); err != nil {
		return nil, err
	}
	return k.c.wrap(plaintext, aad)
}

// Unwrap implements keys.KEK.
func (k *KEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if err := k.there(ctx); err != nil {
		return nil, err
	}
	return k.c.unwrap(blob, aad)
}
