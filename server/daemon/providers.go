package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/awskek"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/gcpkek"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
	"github.com/cloakroom-vault/cloakroom/server/config"
)

// providers opens the key providers that a configuration means. It is safe for
// concurrent use.
type providers struct {
	mu sync.Mutex // held over logins to tokens
	// tokens of PKCS#11 are shared by all that means the same one: a module has
	// one state a process, and a Token remembers the PIN that was refused.
	tokens map[pkcs11kek.Config]*token
}

type token struct {
	*pkcs11kek.Token
	users int
}

func newProviders() *providers { return &providers{tokens: map[pkcs11kek.Config]*token{}} }

// openKEK opens a KEK. The function closes it, and is never nil. Errors are
// those of the provider, and pkcs11kek.ErrNotBuilt.
func (s *providers) openKEK(ctx context.Context, p *config.Provider) (keys.KEK, func() error, error) {
	switch {
	case p.File != "":
		return opened[keys.KEK](filekek.Open(p.File))(nothing)
	case p.Credential != "":
		return opened[keys.KEK](filekek.OpenCredential(p.Credential))(nothing)
	case p.Passphrase != nil:
		return opened[keys.KEK](filekek.OpenPassphrase(ctx, p.Passphrase.File, p.Passphrase.Source()))(nothing)
	case p.Transit != nil:
		k, err := transitkek.Open(ctx, p.Transit.Options())
		return opened[keys.KEK](k, err)(func() error { k.Close(); return nil })
	case p.AWS != nil:
		return opened[keys.KEK](awskek.Open(ctx, p.AWS.Options()))(nothing)
	case p.GCP != nil:
		k, err := gcpkek.Open(ctx, p.GCP.Options())
		return opened[keys.KEK](k, err)(func() error { return k.Close() })
	case p.PKCS11 != nil:
		t, done, err := s.openToken(ctx, p.PKCS11.TokenConfig())
		if err != nil {
			return nil, nothing, err
		}
		k, err := t.KEK(ctx, p.PKCS11.Ref())
		if err != nil {
			return nil, nothing, errors.Join(err, done())
		}
		return k, done, nil
	}
	return nil, nothing, fmt.Errorf("%w: no provider is named", keys.ErrUsage)
}

// openEpochs is openKEK for the keys of epochs.
func (s *providers) openEpochs(ctx context.Context, p *config.EpochProvider) (keys.EpochKEK, func() error, error) {
	switch {
	case p.Directory != "":
		return opened[keys.EpochKEK](filekek.OpenEpochs(p.Directory))(nothing)
	case p.Transit != nil:
		e, err := transitkek.OpenEpochs(ctx, p.Transit.Options())
		return opened[keys.EpochKEK](e, err)(func() error { e.Close(); return nil })
	case p.AWS != nil:
		return opened[keys.EpochKEK](awskek.OpenEpochs(ctx, p.AWS.EpochOptions()))(nothing)
	case p.GCP != nil:
		e, err := gcpkek.OpenEpochs(ctx, p.GCP.EpochOptions())
		return opened[keys.EpochKEK](e, err)(func() error { return e.Close() })
	case p.PKCS11 != nil:
		t, done, err := s.openToken(ctx, p.PKCS11.TokenConfig())
		if err != nil {
			return nil, nothing, err
		}
		e, err := t.Epochs(ctx, p.PKCS11.Prefix)
		if err != nil {
			return nil, nothing, errors.Join(err, done())
		}
		return e, done, nil
	}
	return nil, nothing, fmt.Errorf("%w: no provider is named", keys.ErrUsage)
}

func nothing() error { return nil }

// opened keeps a nil pointer from becoming an interface that is not nil.
func opened[T any](p T, err error) func(closer func() error) (T, func() error, error) {
	return func(closer func() error) (T, func() error, error) {
		if err != nil {
			var none T
			return none, nothing, err
		}
		return p, closer, nil
	}
}

// openToken logs in to a token, or takes the one that is logged in. The last
// of its users closes it.
func (s *providers) openToken(ctx context.Context, c pkcs11kek.Config) (*pkcs11kek.Token, func() error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[c]
	if t == nil {
		opened, err := pkcs11kek.Open(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		t = &token{Token: opened}
		s.tokens[c] = t
	}
	t.users++
	return t.Token, sync.OnceValue(func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.users--; t.users > 0 {
			return nil
		}
		delete(s.tokens, c)
		return t.Close()
	}), nil
}
