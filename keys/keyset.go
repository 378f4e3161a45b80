package keys

import (
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/signature/ed25519"
)

// opened is a keyset row after opening: its header and the primitive built
// from it. Immutable. Tink's handle is not kept: it holds every key a second
// time, and a change opens the row anew.
type opened struct {
	header  header
	primary uint16
	aead    *AEAD // one of the three, by family
	prf     *PRF
	signers []*Signer // of the enabled versions, primary first
}

// parameters returns the one key type that a kind uses.
func parameters(k Kind) (key.Parameters, error) {
	switch k.family() {
	case familyAEAD:
		return aesgcm.NewParameters(aesgcm.ParametersOpts{
			KeySizeInBytes: SecretSize, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
		})
	case familyPRF:
		return hmacprf.NewParameters(SecretSize, hmacprf.SHA256)
	case familySigner:
		params, err := ed25519.NewParameters(ed25519.VariantNoPrefix) // public tools verify it
		return &params, err
	}
	return nil, fmt.Errorf("%w: no keyset can be made of kind %s", ErrUsage, k)
}

// build checks that header and keyset agree in every key, and makes the
// primitive.
func build(h header, handle *keyset.Handle, uses *counters) (*opened, error) {
	found, err := pair(h, handle)
	if err != nil {
		return nil, err
	}
	primary := -1
	for i, e := range found {
		if e != nil && e.IsPrimary() && h.entries[i].state == Enabled {
			primary = i
		}
	}
	if primary < 0 {
		return nil, fmt.Errorf("%w: keyset %s: no primary version", ErrFormat, h.id)
	}
	o := &opened{header: h, primary: h.entries[primary].version}
	switch h.id.Kind.family() {
	case familyAEAD:
		err = o.buildAEAD(found, primary, uses)
	case familyPRF:
		err = o.buildPRF(found)
	case familySigner:
		err = o.buildSigners(found, primary)
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

// pair returns Tink's entry of each version, nil for a destroyed one, and
// refuses a header and a keyset that do not say the same.
func pair(h header, handle *keyset.Handle) ([]*keyset.Entry, error) {
	bad := func(rule string) ([]*keyset.Entry, error) {
		return nil, fmt.Errorf("%w: keyset %s: %s", ErrFormat, h.id, rule)
	}
	want, err := parameters(h.id.Kind)
	if err != nil {
		return nil, err
	}
	entries := make(map[uint32]*keyset.Entry, handle.Len())
	for i := range handle.Len() {
		e, err := handle.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("%w: keyset %s: %w", ErrFormat, h.id, err)
		}
		entries[e.KeyID()] = e
	}
	found, left := make([]*keyset.Entry, len(h.entries)), len(entries)
	for i, v := range h.entries {
		e := entries[v.tinkID]
		switch {
		case v.state == Destroyed:
			if e != nil {
				return bad("a destroyed version still has its key")
			}
			continue
		case e == nil:
			return bad("a version has no key")
		case e.KeyStatus() == keyset.Enabled != (v.state == Enabled):
			return bad("a version's state differs from its key's")
		case !e.Key().Parameters().Equal(want):
			return bad("a key is of another type")
		}
		found[i] = e
		left--
	}
	if left != 0 {
		return bad("a key has no version")
	}
	return found, nil
}

func (o *opened) buildAEAD(found []*keyset.Entry, primary int, uses *counters) (err error) {
	versions := make([]aeadKey, len(found))
	for i, v := range o.header.entries {
		k := &versions[i]
		k.id, k.version, k.state = v.tinkID, v.version, v.state
		if v.state == Enabled && !rawKey(found[i].Key(), &k.raw) {
			return o.otherType()
		}
	}
	o.aead, err = newAEAD(versions, primary, uses.of(o.header.id, o.primary))
	return err
}

func (o *opened) buildPRF(found []*keyset.Entry) error {
	o.prf = &PRF{primary: o.primary, versions: make([]prfKey, len(found))}
	for i, v := range o.header.entries {
		k := prfKey{id: v.tinkID, version: v.version, state: v.state}
		if v.state == Enabled {
			var raw [SecretSize]byte
			if !rawKey(found[i].Key(), &raw) {
				return o.otherType()
			}
			k.pool = newPRFPool(raw)
			clear(raw[:])
		}
		o.prf.versions[i] = k
	}
	return nil
}

func (o *opened) buildSigners(found []*keyset.Entry, primary int) error {
	order := []int{primary}
	for i := len(found) - 1; i >= 0; i-- {
		if i != primary && o.header.entries[i].state == Enabled {
			order = append(order, i)
		}
	}
	for _, i := range order {
		var seed [SecretSize]byte
		if !rawKey(found[i].Key(), &seed) {
			return o.otherType()
		}
		o.signers = append(o.signers, newSigner(o.header.entries[i].version, &seed))
		clear(seed[:])
	}
	return nil
}

func (o *opened) otherType() error {
	return fmt.Errorf("%w: keyset %s: a key is of another type", ErrFormat, o.header.id)
}

// rawKey copies the bytes of a Tink key. It is the only reader of Tink's key
// material in the project.
func rawKey(k key.Key, out *[SecretSize]byte) bool {
	var b secretdata.Bytes
	switch k := k.(type) {
	case *aesgcm.Key:
		b = k.KeyBytes()
	case *hmacprf.Key:
		b = k.KeyBytes()
	case *ed25519.PrivateKey:
		b = k.PrivateKeyBytes()
	default:
		return false
	}
	if b.Len() != SecretSize {
		return false
	}
	data := b.Data(insecuresecretdataaccess.Token{})
	copy(out[:], data)
	clear(data)
	return true
}
