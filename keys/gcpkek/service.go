package gcpkek

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	kms "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	formatBlob = 1
	blobHeader = 1 + 1

	kindPlain = 0 // the plaintext is as given
	kindEmpty = 1 // it was empty, and one zero byte stands for it

	// A key in hardware takes 8,192 bytes of plaintext and associated data
	// together.
	maxPlaintext  = 4096
	maxAAD        = 4096 - blobHeader - 4
	maxCiphertext = 64 << 10
)

// errSums: an answer that the checksums do not allow to be believed.
var errSums = errors.New("checksums do not fit")

// service is the client and its limits.
type service struct {
	client *kms.KeyManagementClient
	access Access
}

// once keeps the SDK from trying again by itself, which it does until the
// context ends.
func once() gax.CallOption { return gax.WithRetry(func() gax.Retryer { return nil }) }

// try makes a call, and makes it again while the trouble may pass.
func (s *service) try(ctx context.Context, do func(ctx context.Context) error) error {
	backoff := gax.Backoff{Initial: min(50*time.Millisecond, s.access.MaxBackoff), Max: s.access.MaxBackoff, Multiplier: 2}
	for n := 1; ; n++ {
		err := s.attempt(ctx, do)
		if err == nil || ended(ctx) != nil || n >= s.access.Attempts || !passes(err) {
			return err
		}
		if gax.Sleep(ctx, backoff.Pause()) != nil {
			return err
		}
	}
}

func (s *service) attempt(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.access.Timeout)
	defer cancel()
	return do(ctx)
}

// place is what wraps and opens, and what is bound to it besides the caller's
// associated data.
type place struct {
	key     string // CryptoKey
	version string // CryptoKeyVersion to encrypt with; empty: the primary one
	bound   []byte
}

func (p place) aad(kind byte, aad []byte) []byte {
	return append(append([]byte{formatBlob, kind}, p.bound...), aad...)
}

// encrypt returns a blob. Errors that are not of package keys are the SDK's.
func (s *service) encrypt(ctx context.Context, p place, plaintext, aad []byte) ([]byte, error) {
	switch {
	case len(plaintext) > maxPlaintext:
		return nil, usage(fmt.Sprintf("a plaintext of %d bytes, want at most %d", len(plaintext), maxPlaintext))
	case len(aad) > maxAAD:
		return nil, usage(fmt.Sprintf("associated data of %d bytes, want at most %d", len(aad), maxAAD))
	}
	kind := byte(kindPlain)
	if len(plaintext) == 0 {
		kind, plaintext = kindEmpty, []byte{0}
	}
	bound := p.aad(kind, aad)
	name, used := p.key, p.key+"/cryptoKeyVersions/"
	if p.version != "" {
		name, used = p.version, p.version
	}
	var out *kmspb.EncryptResponse
	err := s.try(ctx, func(ctx context.Context) (err error) {
		out, err = s.client.Encrypt(ctx, &kmspb.EncryptRequest{
			Name: name, Plaintext: plaintext, PlaintextCrc32C: sum(plaintext),
			AdditionalAuthenticatedData: bound, AdditionalAuthenticatedDataCrc32C: sum(bound),
		}, once())
		if err == nil && (!out.GetVerifiedPlaintextCrc32C() || !out.GetVerifiedAdditionalAuthenticatedDataCrc32C() ||
			!fits(out.GetCiphertext(), out.GetCiphertextCrc32C())) {
			return errSums
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !strings.HasPrefix(out.GetName(), used) || p.version != "" && out.GetName() != used:
		return nil, fmt.Errorf("%w: Google Cloud KMS Encrypt: the answer is of another key", keys.ErrAway)
	case len(out.GetCiphertext()) == 0 || len(out.GetCiphertext()) > maxCiphertext:
		return nil, fmt.Errorf("%w: Google Cloud KMS Encrypt: the answer is not whole", keys.ErrAway)
	}
	return append([]byte{formatBlob, kind}, out.GetCiphertext()...), nil
}

// decrypt opens what encrypt returned.
func (s *service) decrypt(ctx context.Context, p place, blob, aad []byte) ([]byte, error) {
	if len(blob) <= blobHeader || len(blob) > blobHeader+maxCiphertext || blob[0] != formatBlob || blob[1] > kindEmpty {
		return nil, fmt.Errorf("%w: not a blob of Google Cloud KMS", keys.ErrFormat)
	}
	if len(aad) > maxAAD {
		return nil, usage(fmt.Sprintf("associated data of %d bytes, want at most %d", len(aad), maxAAD))
	}
	bound, ciphertext := p.aad(blob[1], aad), blob[blobHeader:]
	var out *kmspb.DecryptResponse
	err := s.try(ctx, func(ctx context.Context) (err error) {
		out, err = s.client.Decrypt(ctx, &kmspb.DecryptRequest{
			Name: p.key, Ciphertext: ciphertext, CiphertextCrc32C: sum(ciphertext),
			AdditionalAuthenticatedData: bound, AdditionalAuthenticatedDataCrc32C: sum(bound),
		}, once())
		if err == nil && !fits(out.GetPlaintext(), out.GetPlaintextCrc32C()) {
			clear(out.GetPlaintext())
			return errSums
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(out.GetPlaintext()) == 0:
		return nil, fmt.Errorf("%w: Google Cloud KMS Decrypt: the answer is not whole", keys.ErrAway)
	case blob[1] == kindEmpty:
		return []byte{}, nil
	}
	return out.GetPlaintext(), nil
}

// state asks for the state of a version.
func (s *service) state(ctx context.Context, version string) (kmspb.CryptoKeyVersion_CryptoKeyVersionState, error) {
	var out *kmspb.CryptoKeyVersion
	err := s.try(ctx, func(ctx context.Context) (err error) {
		out, err = s.client.GetCryptoKeyVersion(ctx, &kmspb.GetCryptoKeyVersionRequest{Name: version}, once())
		return err
	})
	if err != nil {
		return 0, refusal(ctx, "GetCryptoKeyVersion", err)
	}
	return out.GetState(), nil
}

// key asks for a CryptoKey.
func (s *service) key(ctx context.Context, name string) (*kmspb.CryptoKey, error) {
	var out *kmspb.CryptoKey
	err := s.try(ctx, func(ctx context.Context) (err error) {
		out, err = s.client.GetCryptoKey(ctx, &kmspb.GetCryptoKeyRequest{Name: name}, once())
		return err
	})
	if err != nil {
		return nil, refusal(ctx, "GetCryptoKey", err)
	}
	return out, nil
}

func sum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}

// fits wants the sum to be there: one that is missing proves nothing.
func fits(b []byte, claimed *wrapperspb.Int64Value) bool {
	return claimed != nil && claimed.GetValue() == sum(b).GetValue()
}
