package filekek

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"unicode"
	"unicode/utf8"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	minPassphrase = 12 // characters
	maxPassphrase = 1024
)

// A Passphrase returns a passphrase, from wherever it is: PassphraseFile,
// PassphraseCredential, or a function of the caller's that asks at a terminal.
// What it returns is cleared after use.
type Passphrase func(ctx context.Context) ([]byte, error)

// PassphraseFile reads the passphrase from a file, without its line end. The
// rules of owner, mode and type are those of key files.
func PassphraseFile(path string) Passphrase {
	return func(context.Context) ([]byte, error) {
		return source{"passphrase file", path, checkFile, maxPassphrase + 2}.passphrase()
	}
}

// PassphraseCredential reads the passphrase from a systemd credential, without
// its line end, with the errors of OpenCredential.
func PassphraseCredential(name string) Passphrase {
	return func(context.Context) ([]byte, error) {
		s, err := credential(name, maxPassphrase+2)
		if err != nil {
			return nil, err
		}
		return s.passphrase()
	}
}

func (s source) passphrase() ([]byte, error) {
	text, err := s.read()
	if err != nil {
		return nil, err
	}
	if len(text) > s.max {
		clear(text)
		return nil, fmt.Errorf("%w: %s %s must hold at most %d bytes and a line end", keys.ErrFormat, s.what, s.path, maxPassphrase)
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r")), nil
}

// GeneratePassphrase writes a file that, together with the passphrase, gives a
// key: a fresh salt, the cost, and a check. It never replaces a file:
// ErrExists. ErrUsage when the passphrase has less than 12 characters, more
// than 1,024 bytes, or is not one line of text.
func GeneratePassphrase(ctx context.Context, path string, p Passphrase) error {
	return generatePassphrase(ctx, path, p, ownCost())
}

func generatePassphrase(ctx context.Context, path string, p Passphrase, c cost) error {
	phrase, err := p(ctx)
	defer clear(phrase)
	if err != nil {
		return fmt.Errorf("passphrase: %w", err)
	}
	bad := bytes.ContainsFunc(phrase, unicode.IsControl)
	if bad || !utf8.Valid(phrase) || utf8.RuneCount(phrase) < minPassphrase || len(phrase) > maxPassphrase {
		return fmt.Errorf("%w: a passphrase must be one line of UTF-8 text, of %d characters at least and %d bytes at most",
			keys.ErrUsage, minPassphrase, maxPassphrase)
	}
	h := header{cost: c}
	_, _ = rand.Read(h.salt[:])
	key := h.derive(phrase)
	defer clear(key[:])
	h.check = h.checkOf(&key)
	if err := ctx.Err(); err != nil {
		return err
	}
	err = writeNew(path, h.text())
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: key file %s", keys.ErrExists, path)
	case err != nil:
		return fmt.Errorf("writing key file: %w", err)
	}
	return nil
}

// OpenPassphrase makes the key of a file that GeneratePassphrase wrote. It
// takes the memory that the file says, 256 MiB, and half a second to a few,
// whether the passphrase is right or not. ErrWrongKey when it is not, or the
// file was changed; otherwise the errors of Open and of p.
func OpenPassphrase(ctx context.Context, path string, p Passphrase) (*KEK, error) {
	text, err := keyFile(path).read()
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(path, text)
	if err != nil {
		return nil, err
	}
	phrase, err := p(ctx)
	defer clear(phrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// A passphrase that could not have been is tried like any other, so that
	// the time does not tell one from the other.
	key := h.derive(phrase)
	defer clear(key[:])
	if check := h.checkOf(&key); !hmac.Equal(check[:], h.check[:]) {
		return nil, fmt.Errorf("%w: the passphrase of key file %s", keys.ErrWrongKey, path)
	}
	return keyFile(path).newKEK(text, &key)
}
