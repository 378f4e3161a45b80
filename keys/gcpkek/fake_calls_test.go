package gcpkek_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// cryptoKey is a key of the service. Its versions count from 1; the last that
// was added is the primary one.
type cryptoKey struct {
	pb       *kmspb.CryptoKey
	id       uint32 // stands in ciphertexts
	versions []*version
}

type version struct {
	pb  *kmspb.CryptoKeyVersion
	gcm cipher.AEAD
}

// add makes a version; the caller holds the mutex.
func (k *cryptoKey) add() *version {
	var key [32]byte
	_, _ = rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	v := &version{&kmspb.CryptoKeyVersion{
		Name:  fmt.Sprintf("%s/cryptoKeyVersions/%d", k.pb.GetName(), len(k.versions)+1),
		State: kmspb.CryptoKeyVersion_ENABLED,
	}, gcm}
	k.versions, k.pb.Primary = append(k.versions, v), v.pb
	return v
}

func (c *cloud) newKey(name string, pb *kmspb.CryptoKey) *cryptoKey {
	pb.Name = name
	k := &cryptoKey{pb: pb, id: uint32(len(c.keys) + 1)}
	k.add()
	c.keys[name] = k
	return k
}

// key makes a key and returns its name.
func (c *cloud) key() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("%s/cryptoKeys/key-%d", ring, len(c.keys))
	c.newKey(name, &kmspb.CryptoKey{})
	return name
}

func (c *cloud) find(name string) (*version, error) {
	key, number, _ := strings.Cut(name, "/cryptoKeyVersions/")
	k, n := c.keys[key], 0
	if _, err := fmt.Sscan(number, &n); k == nil || err != nil || n < 1 || n > len(k.versions) {
		return nil, refusal(codes.NotFound, name+" not found")
	}
	return k.versions[n-1], nil
}

func (v *version) usable() error {
	if v.pb.GetState() != kmspb.CryptoKeyVersion_ENABLED {
		return refusal(codes.FailedPrecondition, v.pb.GetName()+" is not enabled, current state is: "+v.pb.GetState().String()+".")
	}
	return nil
}

func sum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))))
}

func check(what string, b []byte, claimed *wrapperspb.Int64Value) error {
	if claimed != nil && claimed.GetValue() != sum(b).GetValue() {
		return refusal(codes.InvalidArgument, "The checksum in field "+what+" did not match.")
	}
	return nil
}

func (c *cloud) Encrypt(_ context.Context, in *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	k := c.keys[strings.Split(in.GetName(), "/cryptoKeyVersions/")[0]]
	if k == nil {
		return nil, refusal(codes.NotFound, in.GetName()+" not found")
	}
	name := in.GetName()
	if name == k.pb.GetName() {
		name = k.pb.GetPrimary().GetName()
	}
	v, err := c.find(name)
	if err == nil {
		err = v.usable()
	}
	if err == nil {
		err = check("plaintext_crc32c", in.GetPlaintext(), in.GetPlaintextCrc32C())
	}
	if err == nil {
		err = check("additional_authenticated_data_crc32c", in.GetAdditionalAuthenticatedData(), in.GetAdditionalAuthenticatedDataCrc32C())
	}
	if err == nil && (len(in.GetPlaintext()) == 0 || len(in.GetPlaintext())+len(in.GetAdditionalAuthenticatedData()) > 8192) {
		err = refusal(codes.InvalidArgument, "plaintext must be set and at most 8 KiB with the associated data")
	}
	if err != nil {
		return nil, err
	}
	var n uint32
	if _, err := fmt.Sscan(name[strings.LastIndex(name, "/")+1:], &n); err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, k.id), n)
	ciphertext := v.gcm.Seal(head, nil, in.GetPlaintext(), in.GetAdditionalAuthenticatedData())
	return &kmspb.EncryptResponse{
		Name: name, Ciphertext: ciphertext, CiphertextCrc32C: sum(ciphertext),
		VerifiedPlaintextCrc32C:                   in.GetPlaintextCrc32C() != nil,
		VerifiedAdditionalAuthenticatedDataCrc32C: in.GetAdditionalAuthenticatedDataCrc32C() != nil,
	}, nil
}

func (c *cloud) Decrypt(_ context.Context, in *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	k := c.keys[in.GetName()] // a version is not taken
	if k == nil {
		return nil, refusal(codes.NotFound, in.GetName()+" not found")
	}
	err := check("ciphertext_crc32c", in.GetCiphertext(), in.GetCiphertextCrc32C())
	if err == nil {
		err = check("additional_authenticated_data_crc32c", in.GetAdditionalAuthenticatedData(), in.GetAdditionalAuthenticatedDataCrc32C())
	}
	if err != nil {
		return nil, err
	}
	failed := refusal(codes.InvalidArgument, "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
	if len(in.GetCiphertext()) < 8 || binary.BigEndian.Uint32(in.GetCiphertext()) != k.id {
		return nil, failed
	}
	v, err := c.find(fmt.Sprintf("%s/cryptoKeyVersions/%d", in.GetName(), binary.BigEndian.Uint32(in.GetCiphertext()[4:])))
	if err != nil {
		return nil, failed
	}
	if err := v.usable(); err != nil {
		return nil, err
	}
	plaintext, err := v.gcm.Open(nil, nil, in.GetCiphertext()[8:], in.GetAdditionalAuthenticatedData())
	if err != nil {
		return nil, failed
	}
	return &kmspb.DecryptResponse{Plaintext: plaintext, PlaintextCrc32C: sum(plaintext)}, nil
}

func (c *cloud) GetCryptoKey(_ context.Context, in *kmspb.GetCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	k := c.keys[in.GetName()]
	if k == nil {
		return nil, refusal(codes.NotFound, in.GetName()+" not found")
	}
	return proto.CloneOf(k.pb), nil
}

func (c *cloud) GetCryptoKeyVersion(_ context.Context, in *kmspb.GetCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	v, err := c.find(in.GetName())
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(v.pb), nil
}

func (c *cloud) CreateCryptoKey(_ context.Context, in *kmspb.CreateCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	name, pb := in.GetParent()+"/cryptoKeys/"+in.GetCryptoKeyId(), in.GetCryptoKey()
	switch delay := pb.GetDestroyScheduledDuration().AsDuration(); {
	case c.keys[name] != nil:
		return nil, refusal(codes.AlreadyExists, name+" already exists")
	case pb.GetPurpose() != kmspb.CryptoKey_ENCRYPT_DECRYPT || in.GetSkipInitialVersionCreation() || pb.GetRotationSchedule() != nil ||
		pb.GetVersionTemplate().GetAlgorithm() != kmspb.CryptoKeyVersion_GOOGLE_SYMMETRIC_ENCRYPTION,
		delay < 24*time.Hour || delay > 120*24*time.Hour:
		return nil, refusal(codes.InvalidArgument, "not a key as asked for")
	}
	return proto.CloneOf(c.newKey(name, proto.CloneOf(pb)).pb), nil
}

func (c *cloud) DestroyCryptoKeyVersion(_ context.Context, in *kmspb.DestroyCryptoKeyVersionRequest) (*kmspb.CryptoKeyVersion, error) {
	v, err := c.find(in.GetName())
	if err != nil {
		return nil, err
	}
	if s := v.pb.GetState(); s != kmspb.CryptoKeyVersion_ENABLED && s != kmspb.CryptoKeyVersion_DISABLED {
		return nil, refusal(codes.FailedPrecondition, in.GetName()+" cannot be destroyed, current state is: "+s.String()+".")
	}
	key, _, _ := strings.Cut(in.GetName(), "/cryptoKeyVersions/")
	delay := c.keys[key].pb.GetDestroyScheduledDuration()
	if delay == nil {
		delay = durationpb.New(30 * 24 * time.Hour)
	}
	v.pb.State, v.pb.DestroyTime = kmspb.CryptoKeyVersion_DESTROY_SCHEDULED, timestamppb.New(time.Now().Add(delay.AsDuration()))
	return proto.CloneOf(v.pb), nil
}
