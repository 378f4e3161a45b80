package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	format        = 1
	keyLabel      = "cloakroom/token/v1"
	checksumLabel = "cloakroom/token/checksum/v1"

	offDomain   = 1
	offVersion  = 3
	offBlock    = 5
	offChecksum = offBlock + aes.BlockSize

	// MaxField is the largest field number that a token can hold.
	MaxField = 1<<24 - 1
)

// An ID is what a token stands for.
type ID struct {
	Domain     uint16
	Version    uint16 // of the domain's key
	Ref        uint64 // the person; not 0
	Field      uint32 // 1 to MaxField
	Item       uint16
	Generation uint8 // of the person's tokens
}

// Domain is a domain that a Codec serves, with the keyset it has now.
type Domain struct {
	Number uint16
	PRF    *keys.PRF
}

// A Codec writes and reads the tokens of its domains, in every version of
// their keys that is enabled. It is immutable and safe for concurrent use;
// after a rotation the vault makes a new one.
type Codec struct {
	primary map[uint16]uint16
	ciphers map[uint32]*versionKey // by domain<<16 | version
	blocks  sync.Pool              // of *[aes.BlockSize]byte
}

// versionKey is the key of one version of a domain.
type versionKey struct {
	cipher.Block
	seen atomic.Bool // a token of it was read since Seen was asked
}

// NewCodec derives the token keys of the domains. ErrUsage when a domain has
// no PRF or stands twice; errors of the PRF are passed on.
func NewCodec(domains []Domain) (*Codec, error) {
	c := &Codec{
		primary: make(map[uint16]uint16, len(domains)),
		ciphers: make(map[uint32]*versionKey, len(domains)),
		blocks:  sync.Pool{New: func() any { return new([aes.BlockSize]byte) }},
	}
	for _, d := range domains {
		if d.PRF == nil {
			return nil, fmt.Errorf("%w: domain %d has no key", ErrUsage, d.Number)
		}
		if _, twice := c.primary[d.Number]; twice {
			return nil, fmt.Errorf("%w: domain %d stands twice", ErrUsage, d.Number)
		}
		c.primary[d.Number] = d.PRF.Primary()
		for _, v := range d.PRF.Versions() {
			key, err := d.PRF.Compute(v, keyLabel, binary.BigEndian.AppendUint16(nil, d.Number))
			if err != nil {
				return nil, fmt.Errorf("token key of domain %d: %w", d.Number, err)
			}
			block, err := aes.NewCipher(key[:])
			clear(key[:])
			if err != nil {
				return nil, fmt.Errorf("token key of domain %d: %w", d.Number, err)
			}
			c.ciphers[slot(d.Number, v)] = &versionKey{Block: block}
		}
	}
	return c, nil
}

func slot(domain, version uint16) uint32 { return uint32(domain)<<16 | uint32(version) }

// Append appends the token of id to dst, Len bytes. Version 0 means the
// primary one. On error it returns dst as it was. Errors: ErrRange, ErrUnknown
// when the codec has no such domain or version.
func (c *Codec) Append(dst []byte, id ID) ([]byte, error) {
	if id.Ref == 0 || id.Field == 0 || id.Field > MaxField {
		return dst, fmt.Errorf("%w: ref must not be 0, field must be 1 to %d", ErrRange, MaxField)
	}
	if id.Version == 0 {
		id.Version = c.primary[id.Domain]
	}
	block := c.ciphers[slot(id.Domain, id.Version)]
	if block == nil {
		return dst, fmt.Errorf("%w: no key for domain %d version %d", ErrUnknown, id.Domain, id.Version)
	}
	// One block under a key of its own use: equal ids give equal tokens, which
	// is wanted, and AES is a permutation, so different ids never collide.
	b := c.blocks.Get().(*[aes.BlockSize]byte)
	binary.BigEndian.PutUint64(b[0:], id.Ref)
	binary.BigEndian.PutUint32(b[8:], id.Field<<8|uint32(id.Item>>8))
	binary.BigEndian.PutUint32(b[12:], uint32(id.Item)<<24|uint32(id.Generation)<<16)
	block.Encrypt(b[:], b[:])
	var payload [payloadSize]byte
	payload[0] = format
	binary.BigEndian.PutUint16(payload[offDomain:], id.Domain)
	binary.BigEndian.PutUint16(payload[offVersion:], id.Version)
	copy(payload[offBlock:], b[:])
	c.blocks.Put(b)
	sum := checksum(&payload)
	copy(payload[offChecksum:], sum[:])
	var text [digits]byte
	putBase62(&text, &payload)
	dst = append(dst, Prefix...)
	return append(dst, text[:]...), nil
}

// Parse reads a token. Errors: ErrMalformed when the text is not of the form,
// ErrUnknown when it is and does not open.
func (c *Codec) Parse(text string) (ID, error) { return parse(c, text) }

// ParseBytes is Parse for a text in bytes.
func (c *Codec) ParseBytes(text []byte) (ID, error) { return parse(c, text) }

// Header returns the domain and version that a well-formed text names,
// without any key, so that a caller can say of which retired key a token is.
// Only Parse proves that a vault made it. The error is ErrMalformed.
func Header(text string) (domain, version uint16, err error) {
	var payload [payloadSize]byte
	if err := decode(text, &payload); err != nil {
		return 0, 0, err
	}
	return binary.BigEndian.Uint16(payload[offDomain:]), binary.BigEndian.Uint16(payload[offVersion:]), nil
}

func parse[T string | []byte](c *Codec, text T) (ID, error) {
	var payload [payloadSize]byte
	if err := decode(text, &payload); err != nil {
		return ID{}, err
	}
	id := ID{
		Domain:  binary.BigEndian.Uint16(payload[offDomain:]),
		Version: binary.BigEndian.Uint16(payload[offVersion:]),
	}
	block := c.ciphers[slot(id.Domain, id.Version)]
	if block == nil {
		return ID{}, fmt.Errorf("%w: no key for domain %d version %d", ErrUnknown, id.Domain, id.Version)
	}
	b := c.blocks.Get().(*[aes.BlockSize]byte)
	copy(b[:], payload[offBlock:])
	block.Decrypt(b[:], b[:])
	id.Ref = binary.BigEndian.Uint64(b[0:])
	id.Field = binary.BigEndian.Uint32(b[8:]) >> 8
	id.Item = binary.BigEndian.Uint16(b[11:])
	id.Generation = b[13]
	check := binary.BigEndian.Uint16(b[14:])
	c.blocks.Put(b)
	if check != 0 || id.Ref == 0 || id.Field == 0 {
		return ID{}, fmt.Errorf("%w: the domain's key did not make it", ErrUnknown)
	}
	if !block.seen.Load() { // so that readers share the line, and rarely write it
		block.seen.Store(true)
	}
	return id, nil
}

// Seen calls fn for each version of which a token was read since the last call
// of Seen.
func (c *Codec) Seen(fn func(domain, version uint16)) {
	for at, key := range c.ciphers {
		if key.seen.Swap(false) {
			fn(uint16(at>>16), uint16(at))
		}
	}
}

// decode checks everything that can be checked without a key.
func decode[T string | []byte](text T, payload *[payloadSize]byte) error {
	if len(text) != Len {
		return fmt.Errorf("%w: %d bytes, want %d", ErrMalformed, len(text), Len)
	}
	if string(text[:len(Prefix)]) != Prefix {
		return fmt.Errorf("%w: does not start with %q", ErrMalformed, Prefix)
	}
	if !parseBase62(text[len(Prefix):], payload) {
		return fmt.Errorf("%w: not a number of %d bytes in base 62", ErrMalformed, payloadSize)
	}
	if payload[0] != format {
		return fmt.Errorf("%w: unknown format number", ErrMalformed)
	}
	if sum := checksum(payload); sum != [3]byte(payload[offChecksum:]) {
		return fmt.Errorf("%w: the checksum differs, so it was mistyped", ErrMalformed)
	}
	return nil
}

func checksum(payload *[payloadSize]byte) [3]byte {
	var in [len(checksumLabel) + offChecksum]byte
	copy(in[:], checksumLabel)
	copy(in[len(checksumLabel):], payload[:])
	sum := sha256.Sum256(in[:])
	return [3]byte(sum[:])
}
