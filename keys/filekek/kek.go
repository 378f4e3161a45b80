package filekek

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// A KEK is a keys.KEK whose key was read from a file or made of a passphrase. It is safe for
// concurrent use and prints as its name.
type KEK struct{ c *fileCipher }

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
	key, err := s.readKey(kekPrefix)
	defer clear(key[:])
	if err != nil {
		return nil, err
	}
	return newKEK(&key)
}

func newKEK(key *[keys.SecretSize]byte) (*KEK, error) {
	c, err := newCipher(key)
	if err != nil {
		return nil, err
	}
	return &KEK{c}, nil
}

// Name implements keys.KEK: "file/" and the key's fingerprint, wherever the
// file lies.
func (k *KEK) Name() string { return "file/" + k.c.print.String() }

// String implements fmt.Stringer.
func (k *KEK) String() string { return k.Name() }

// Wrap implements keys.KEK.
func (k *KEK) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return k.c.wrap(plaintext, aad)
}

// Unwrap implements keys.KEK.
func (k *KEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return k.c.unwrap(blob, aad)
}
