package keys

import (
	"fmt"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/key"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/signature/ed25519"
)

// opened is a keyset row after opening: its header, Tink's handle, and the
// primitive built from them. Immutable.
type opened struct {
	header  header
	handle  *keyset.Handle
	primary uint16
	aead    *AEAD // one of the three, by family
	prf     *PRF
	signer  *Signer
}

// newKeyset makes a keyset with one fresh key, version 1.
func newKeyset(id ID) (*opened, error) {
	h := header{id: id, generation: 0, next: 1}
	o, err := withNewKey(h, keyset.NewManager(), true)
	if err != nil {
		return nil, fmt.Errorf("making keyset %s: %w", id, err)
	}
	return o, nil
}

// addVersion returns the keyset with one more fresh key, and its version.
func (o *opened) addVersion() (*opened, uint16, error) {
	if len(o.header.entries) >= maxVersions || o.header.next == ^uint16(0) {
		return nil, 0, fmt.Errorf("%w: keyset %s has no version numbers left", ErrUsage, o.header.id)
	}
	n, err := withNewKey(o.header, keyset.NewManagerFromHandle(o.handle), false)
	if err != nil {
		return nil, 0, fmt.Errorf("adding a version to keyset %s: %w", o.header.id, err)
	}
	return n, o.header.next, nil
}

// promote returns the keyset with another primary version.
func (o *opened) promote(version uint16) (*opened, error) {
	e := o.header.find(version)
	if e == nil {
		return nil, fmt.Errorf("%w: %s version %d", ErrNoKey, o.header.id, version)
	}
	if err := e.state.usable(version); err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(o.handle)
	if err := m.SetPrimary(e.tinkID); err != nil {
		return nil, fmt.Errorf("promoting %s version %d: %w", o.header.id, version, err)
	}
	h := o.header
	h.generation++
	return finish(h, m)
}

// setState returns the keyset with a version in another state. The primary
// stays enabled, and only a disabled version can be destroyed, so that what
// still needs it has been heard of before it is too late.
func (o *opened) setState(version uint16, state State) (*opened, error) {
	h := o.header
	h.entries = slices.Clone(h.entries)
	e := h.find(version)
	if e == nil {
		return nil, fmt.Errorf("%w: %s version %d", ErrNoKey, h.id, version)
	}
	if e.state == state {
		return o, nil
	}
	m := keyset.NewManagerFromHandle(o.handle)
	var err error
	switch {
	case e.state == Destroyed:
		return nil, fmt.Errorf("%w: %s version %d", ErrDestroyed, h.id, version)
	case version == o.primary:
		return nil, fmt.Errorf("%w: %s version %d is the primary one", ErrUsage, h.id, version)
	case state == Enabled:
		err = m.Enable(e.tinkID)
	case state == Disabled:
		err = m.Disable(e.tinkID)
	case state == Destroyed && e.state == Disabled:
		err = m.Delete(e.tinkID)
	default:
		return nil, fmt.Errorf("%w: %s version %d cannot go from %s to %s", ErrUsage, h.id, version, e.state, state)
	}
	if err != nil {
		return nil, fmt.Errorf("%s version %d to %s: %w", h.id, version, state, err)
	}
	e.state = state
	h.generation++
	return finish(h, m)
}

// withNewKey adds a fresh key to m and to a copy of h.
func withNewKey(h header, m *keyset.Manager, primary bool) (*opened, error) {
	params, err := parameters(h.id.Kind)
	if err != nil {
		return nil, err
	}
	tinkID, err := m.AddNewKeyFromParameters(params)
	if err != nil {
		return nil, err
	}
	// Tink draws ids at random and knows nothing of tombstones: an id that a
	// destroyed version had is drawn again rather than used again.
	for h.findID(tinkID) != nil {
		if err := m.Delete(tinkID); err != nil {
			return nil, err
		}
		if tinkID, err = m.AddNewKeyFromParameters(params); err != nil {
			return nil, err
		}
	}
	if primary {
		if err := m.SetPrimary(tinkID); err != nil {
			return nil, err
		}
	}
	made := headerVersion{version: h.next, tinkID: tinkID, state: Enabled, made: time.Now().Unix()}
	h.entries = append(h.entries[:len(h.entries):len(h.entries)], made)
	h.next++
	h.generation++
	return finish(h, m)
}

func finish(h header, m *keyset.Manager) (*opened, error) {
	handle, err := m.Handle()
	if err != nil {
		return nil, err
	}
	return build(h, handle)
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
func build(h header, handle *keyset.Handle) (*opened, error) {
	bad := func(rule string) (*opened, error) {
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
	o := &opened{header: h, handle: handle}
	a, p, sg := &AEAD{primary: -1}, &PRF{}, &Signer{}
	left := len(entries)
	for _, v := range h.entries {
		e := entries[v.tinkID]
		var raw [SecretSize]byte
		switch {
		case v.state == Destroyed:
			if e != nil {
				return bad("a destroyed version still has its key")
			}
		case e == nil:
			return bad("a version has no key")
		case e.KeyStatus() == keyset.Enabled != (v.state == Enabled):
			return bad("a version's state differs from its key's")
		case !e.Key().Parameters().Equal(want):
			return bad("a key is of another type")
		default:
			left--
			if v.state == Enabled {
				if !rawKey(e.Key(), &raw) {
					return bad("a key is of another type")
				}
				if e.IsPrimary() {
					o.primary, a.primary, p.primary = v.version, len(a.keys), v.version
				}
			}
		}
		ak := aeadKey{id: v.tinkID, version: v.version, state: v.state}
		pk := prfKey{id: v.tinkID, version: v.version, state: v.state}
		if v.state == Enabled {
			if ak.gcm, err = newGCM(&raw); err != nil {
				return nil, err
			}
			pk.pool = newPRFPool(raw)
			if v.version == o.primary && h.id.Kind.family() == familySigner {
				sg = newSigner(&raw)
			}
			clear(raw[:])
		}
		a.keys, p.versions = append(a.keys, ak), append(p.versions, pk)
	}
	if left != 0 {
		return bad("a key has no version")
	}
	if o.primary == 0 {
		return bad("no primary version")
	}
	switch h.id.Kind.family() {
	case familyAEAD:
		o.aead = a
	case familyPRF:
		o.prf = p
	case familySigner:
		o.signer = sg
	}
	return o, nil
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
