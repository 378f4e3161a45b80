//go:build !cgo || nopkcs11

package pkcs11kek

import (
	"context"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Built says whether this binary can load a PKCS#11 library. It cannot.
const Built = false

// A Token cannot be had in this binary; see ErrNotBuilt.
type Token struct{}

// Open returns ErrNotBuilt.
func Open(context.Context, Config) (*Token, error) { return nil, ErrNotBuilt }

// CheckFiles returns ErrNotBuilt.
func (Config) CheckFiles() error { return ErrNotBuilt }

// Close does nothing.
func (*Token) Close() error { return nil }

// Generate returns ErrNotBuilt.
func (*Token) Generate(context.Context, KeyRef) error { return ErrNotBuilt }

// KEK returns ErrNotBuilt.
func (*Token) KEK(context.Context, KeyRef) (*KEK, error) { return nil, ErrNotBuilt }

// Epochs returns ErrNotBuilt.
func (*Token) Epochs(context.Context, string) (*Epochs, error) { return nil, ErrNotBuilt }

// A KEK cannot be had in this binary; see ErrNotBuilt.
type KEK struct{ absent }

// Epochs cannot be had in this binary; see ErrNotBuilt.
type Epochs struct{ absentEpochs }

var (
	_ keys.KEK      = (*KEK)(nil)
	_ keys.EpochKEK = (*Epochs)(nil)
)

type absent struct{}

func (absent) Name() string { return "pkcs11" }

func (absent) Wrap(context.Context, []byte, []byte) ([]byte, error) { return nil, ErrNotBuilt }

func (absent) Unwrap(context.Context, []byte, []byte) ([]byte, error) { return nil, ErrNotBuilt }

type absentEpochs struct{}

func (absentEpochs) Name() string { return "pkcs11" }

func (absentEpochs) Create(context.Context, uint32) error { return ErrNotBuilt }

func (absentEpochs) Wrap(context.Context, uint32, []byte, []byte) ([]byte, error) {
	return nil, ErrNotBuilt
}

func (absentEpochs) Unwrap(context.Context, uint32, []byte, []byte) ([]byte, error) {
	return nil, ErrNotBuilt
}

func (absentEpochs) Destroy(context.Context, uint32) error { return ErrNotBuilt }

func (absentEpochs) Destruction() keys.Destruction {
	return keys.Destruction{How: ErrNotBuilt.Error()}
}
