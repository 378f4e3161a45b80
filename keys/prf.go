package keys

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"sync"
)

// PRFSize is the length of a PRF output in bytes.
const PRFSize = sha256.Size

// maxPooledInput bounds the input buffers that are kept for reuse.
const maxPooledInput = 4096

// A PRF computes HMAC-SHA256 under the versions of one Tink PRF keyset: a
// fixed pseudorandom function, so equal inputs give equal outputs and nobody
// without the key learns or predicts any. It is immutable and safe for
// concurrent use.
type PRF struct {
	opaque
	primary  uint16
	versions []prfKey // rising
}

type prfKey struct {
	id      uint32 // Tink's random id
	version uint16
	state   State
	pool    *sync.Pool // of *prfState; nil unless enabled
}

// prfState is an HMAC keyed once and reset for each use, which is four times
// faster than keying it anew, with the buffers that keep Compute from
// allocating.
type prfState struct {
	mac hash.Hash
	in  []byte
	out [PRFSize]byte
}

func newPRFPool(key [SecretSize]byte) *sync.Pool {
	return &sync.Pool{New: func() any { return &prfState{mac: hmac.New(sha256.New, key[:])} }}
}

// Primary returns the version that new outputs should be computed with.
func (p *PRF) Primary() uint16 { return p.primary }

// Versions returns the versions that Compute accepts, rising.
func (p *PRF) Versions() []uint16 {
	out := make([]uint16, 0, len(p.versions))
	for i := range p.versions {
		if k := &p.versions[i]; k.state == Enabled {
			out = append(out, k.version)
		}
	}
	return out
}

// Compute returns HMAC-SHA256 of
//
//	len(label) u8 | label | input
//
// under the given version. The label (1 to 255 bytes, a constant of the
// caller) keeps uses of one key apart: outputs under different labels say
// nothing of each other. It equals what Tink's PRF gives for these bytes.
// Errors: ErrNoKey, ErrDisabled, ErrDestroyed for the version; ErrUsage for
// the label.
func (p *PRF) Compute(version uint16, label string, input []byte) (out [PRFSize]byte, err error) {
	if len(label) == 0 || len(label) > 255 {
		return out, fmt.Errorf("%w: a label of %d bytes, want 1 to 255", ErrUsage, len(label))
	}
	k := p.find(version)
	if k == nil {
		return out, fmt.Errorf("%w: version %d", ErrNoKey, version)
	}
	if err := k.state.usable(version); err != nil {
		return out, err
	}
	s := k.pool.Get().(*prfState)
	s.mac.Reset()
	s.in = append(s.in[:0], byte(len(label)))
	s.in = append(s.in, label...)
	// Copied, not written apart, so that the caller's input can stay on its stack.
	s.in = append(s.in, input...)
	s.mac.Write(s.in)
	s.mac.Sum(s.out[:0])
	out = s.out
	clear(s.in) // the input may be personal data
	clear(s.out[:])
	if cap(s.in) <= maxPooledInput {
		k.pool.Put(s)
	}
	return out, nil
}

func (p *PRF) find(version uint16) *prfKey {
	// No version is ever left out, so it stands where its number says.
	if i := int(version) - 1; i >= 0 && i < len(p.versions) && p.versions[i].version == version {
		return &p.versions[i]
	}
	i, ok := slices.BinarySearchFunc(p.versions, version, func(k prfKey, v uint16) int { return cmp.Compare(k.version, v) })
	if !ok {
		return nil
	}
	return &p.versions[i]
}
