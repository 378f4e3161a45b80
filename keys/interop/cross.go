package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/tink/go/aead"
	"github.com/google/tink/go/keyset"
	"github.com/google/tink/go/prf"
	tinkpb "github.com/google/tink/go/proto/tink_go_proto"
	"github.com/google/tink/go/signature"
)

const (
	label   = "label"
	prfSize = 32
)

// make makes a field of three versions (1 enabled, 2 disabled, 3 primary), a
// domain of two (2 primary), and the signer of the audit log.
func (x *exchange) make() error {
	field, err := x.makeSet(header{kind: kindField, number: 7}, aead.AES256GCMKeyTemplate(), 3, 2)
	if err != nil {
		return fmt.Errorf("field: %w", err)
	}
	domain, err := x.makeSet(header{kind: kindDomain, number: 1}, prf.HMACSHA256PRFKeyTemplate(), 2, 0)
	if err != nil {
		return fmt.Errorf("domain: %w", err)
	}
	signer, err := x.makeSet(header{kind: kindAuditSigner}, signature.ED25519KeyWithoutPrefixTemplate(), 1, 0)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	x.Keysets = []*set{field, domain, signer}
	return nil
}

// makeSet adds versions one by one, uses each as the primary one, and disables
// off in the end.
func (x *exchange) makeSet(head header, template *tinkpb.KeyTemplate, count, off uint16) (*set, error) {
	s, m := &set{}, keyset.NewManager()
	for n := uint16(1); n <= count; n++ {
		id, err := m.Add(template)
		if err != nil {
			return nil, err
		}
		if err := m.SetPrimary(id); err != nil {
			return nil, err
		}
		head.versions = append(head.versions, version{n, id, enabled})
		h, err := m.Handle()
		if err != nil {
			return nil, err
		}
		if err := s.use(head.kind, h, n); err != nil {
			return nil, err
		}
	}
	if off != 0 {
		head.versions[off-1].state = disabled
		if err := m.Disable(head.versions[off-1].id); err != nil {
			return nil, err
		}
		for i := range s.Sealed {
			s.Sealed[i].Disabled = s.Sealed[i].Version == off
		}
	}
	h, err := m.Handle()
	if err != nil {
		return nil, err
	}
	return s, x.write(s, h, head)
}

// use adds what the primary version, numbered so, makes.
func (s *set) use(kind byte, h *keyset.Handle, number uint16) error {
	for _, size := range []int{0, 1, 16, 1000} {
		text, data := bytes.Repeat([]byte{byte(size)}, size), []byte("place")
		switch kind {
		case kindField:
			p, err := aead.New(h)
			if err != nil {
				return err
			}
			c, err := p.Encrypt(text, data)
			if err != nil {
				return err
			}
			s.Sealed = append(s.Sealed, sealed{number, text, data, c, false})
		case kindDomain:
			p, err := prf.NewPRFSet(h)
			if err != nil {
				return err
			}
			out, err := p.ComputePrimaryPRF(framed(label, text), prfSize)
			if err != nil {
				return err
			}
			s.Outputs = append(s.Outputs, output{number, label, text, out})
		case kindAuditSigner:
			p, err := signature.NewSigner(h)
			if err != nil {
				return err
			}
			sig, err := p.Sign(text)
			if err != nil {
				return err
			}
			s.Signed = append(s.Signed, signed{text, sig})
		default:
			return fmt.Errorf("unknown kind %d", kind)
		}
	}
	return nil
}

// framed is how package keys puts label and input together.
func framed(label string, input []byte) []byte {
	return append(append([]byte{byte(len(label))}, label...), input...)
}

// check opens everything in every form, and puts in its place what v1.7.0 makes
// with these keysets.
func (x *exchange) check() error {
	if len(x.Keysets) == 0 {
		return errors.New("no keysets")
	}
	for _, s := range x.Keysets {
		if err := x.checkSet(s); err != nil {
			return fmt.Errorf("%s: %w", s.Row, err)
		}
	}
	return nil
}

func (x *exchange) checkSet(s *set) error {
	head, handles, err := x.read(s)
	if err != nil {
		return err
	}
	if head.name() != s.Row || len(s.Sealed)+len(s.Outputs)+len(s.Signed) == 0 {
		return errors.New("another row, or nothing made with it")
	}
	for form, h := range handles {
		if err := s.verify(head, h); err != nil {
			return fmt.Errorf("by the form %q: %w", form, err)
		}
	}
	var primary uint16
	for _, v := range head.versions {
		if v.id == handles["row"].KeysetInfo().GetPrimaryKeyId() {
			primary = v.number
		}
	}
	s.Sealed, s.Outputs, s.Signed = nil, nil, nil
	return s.use(head.kind, handles["row"], primary)
}
