package awskek

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	formatBlob = 1
	blobHeader = 1 + 1

	kindPlain = 0 // the plaintext is as given
	kindEmpty = 1 // it was empty, and one zero byte stands for it

	maxPlaintext  = 4096 // the service's limit
	maxCiphertext = 6144 // the service's limit
	// The service takes 8,192 characters of encryption context in all.
	maxAAD = 4096
)

// Names of the one entry of the encryption context.
const (
	contextKEK   = "cloakroom-kek"
	contextEpoch = "cloakroom-epoch"
)

// place is a key of the service and what is bound to it besides the caller's
// associated data.
type place struct {
	key     string // ARN, or alias/...
	context string
	bound   []byte
}

// encryptionContext binds the header too, so that a blob whose kind was
// changed does not open.
func (p place) encryptionContext(kind byte, aad []byte) map[string]string {
	value := append(append([]byte{formatBlob, kind}, p.bound...), aad...)
	return map[string]string{p.context: base64.StdEncoding.EncodeToString(value)}
}

// encrypt returns a blob and the ARN of the key that the service says it
// used. Errors that are not keys.ErrUsage are those of the SDK.
func (p place) encrypt(ctx context.Context, client *kms.Client, plaintext, aad []byte) (blob []byte, arn string, err error) {
	switch {
	case len(plaintext) > maxPlaintext:
		return nil, "", usage(fmt.Sprintf("a plaintext of %d bytes, want at most %d", len(plaintext), maxPlaintext))
	case len(aad) > maxAAD:
		return nil, "", usage(fmt.Sprintf("associated data of %d bytes, want at most %d", len(aad), maxAAD))
	}
	kind := byte(kindPlain)
	if len(plaintext) == 0 {
		kind, plaintext = kindEmpty, []byte{0}
	}
	out, err := client.Encrypt(ctx, &kms.EncryptInput{
		KeyId: &p.key, Plaintext: plaintext, EncryptionContext: p.encryptionContext(kind, aad),
	})
	if err != nil {
		return nil, "", err
	}
	if n := len(out.CiphertextBlob); n == 0 || n > maxCiphertext || out.KeyId == nil {
		return nil, "", fmt.Errorf("%w: AWS KMS Encrypt: the answer is not whole", keys.ErrAway)
	}
	return append([]byte{formatBlob, kind}, out.CiphertextBlob...), *out.KeyId, nil
}

// decrypt opens what encrypt returned.
func (p place) decrypt(ctx context.Context, client *kms.Client, blob, aad []byte) (plaintext []byte, arn string, err error) {
	if len(blob) <= blobHeader || len(blob) > blobHeader+maxCiphertext || blob[0] != formatBlob || blob[1] > kindEmpty {
		return nil, "", fmt.Errorf("%w: not a blob of AWS KMS", keys.ErrFormat)
	}
	if len(aad) > maxAAD {
		return nil, "", usage(fmt.Sprintf("associated data of %d bytes, want at most %d", len(aad), maxAAD))
	}
	out, err := client.Decrypt(ctx, &kms.DecryptInput{
		// Named, so that a blob of another key that the caller may use too does
		// not open.
		KeyId: &p.key, CiphertextBlob: blob[blobHeader:], EncryptionContext: p.encryptionContext(blob[1], aad),
	})
	if err != nil {
		return nil, "", err
	}
	if len(out.Plaintext) == 0 || out.KeyId == nil {
		return nil, "", fmt.Errorf("%w: AWS KMS Decrypt: the answer is not whole", keys.ErrAway)
	}
	if blob[1] == kindEmpty {
		return []byte{}, *out.KeyId, nil
	}
	return out.Plaintext, *out.KeyId, nil
}
