package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/tink/go/aead"
	"github.com/google/tink/go/keyset"
	"github.com/google/tink/go/prf"
	"github.com/google/tink/go/signature"
)

// verify opens and computes everything with a keyset.
func (s *set) verify(head header, h *keyset.Handle) error {
	if len(s.Sealed) > 0 {
		if err := s.verifySealed(h); err != nil {
			return err
		}
	}
	if len(s.Outputs) > 0 {
		if err := s.verifyOutputs(head, h); err != nil {
			return err
		}
	}
	if len(s.Signed) > 0 {
		return s.verifySigned(h)
	}
	return nil
}

func (s *set) verifySealed(h *keyset.Handle) error {
	p, err := aead.New(h)
	if err != nil {
		return err
	}
	for _, c := range s.Sealed {
		out, err := p.Decrypt(c.Ciphertext, c.Data)
		if c.Disabled {
			if err == nil {
				return fmt.Errorf("version %d is disabled and opens", c.Version)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("version %d: %w", c.Version, err)
		}
		if !bytes.Equal(out, c.Plaintext) {
			return fmt.Errorf("version %d opens to something else", c.Version)
		}
		if _, err := p.Decrypt(c.Ciphertext, append([]byte("another "), c.Data...)); err == nil {
			return fmt.Errorf("version %d opens in another place", c.Version)
		}
	}
	return nil
}

func (s *set) verifyOutputs(head header, h *keyset.Handle) error {
	p, err := prf.NewPRFSet(h)
	if err != nil {
		return err
	}
	for _, c := range s.Outputs {
		v, err := head.find(c.Version)
		if err != nil {
			return err
		}
		f, ok := p.PRFs[v.id]
		if !ok {
			return fmt.Errorf("version %d has no PRF", c.Version)
		}
		out, err := f.ComputePRF(framed(c.Label, c.Input), prfSize)
		if err != nil {
			return err
		}
		if !bytes.Equal(out, c.Output) {
			return fmt.Errorf("version %d gives another output", c.Version)
		}
	}
	return nil
}

func (s *set) verifySigned(h *keyset.Handle) error {
	public, err := h.Public()
	if err != nil {
		return err
	}
	p, err := signature.NewVerifier(public)
	if err != nil {
		return err
	}
	for _, c := range s.Signed {
		if err := p.Verify(c.Signature, c.Message); err != nil {
			return err
		}
		if p.Verify(c.Signature, append([]byte("another "), c.Message...)) == nil {
			return errors.New("a signature fits another message")
		}
	}
	return nil
}
