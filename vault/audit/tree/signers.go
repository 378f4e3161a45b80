package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// VerifierKeysName is the file that holds the verifier keys of all signers, one
// a line, that of the first signer first.
const VerifierKeysName = "vkeys"

// NewVerifiers reads verifier keys of one log, one a line: the text of a vkeys
// file, or of a vkey file. ErrKey when there is none, one cannot be read, or
// they are of several logs. A key that stands twice counts once.
func NewVerifiers(text string) ([]note.Verifier, error) {
	var keys []note.Verifier
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, err := NewVerifier(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		if len(keys) > 0 && key.Name() != keys[0].Name() {
			return nil, fmt.Errorf("%w: the keys are of several logs", ErrKey)
		}
		if !slices.ContainsFunc(keys, func(k note.Verifier) bool { return k.KeyHash() == key.KeyHash() }) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrKey)
	}
	return keys, nil
}

// openSigned verifies a note under some keys, of which one must have signed it.
// It returns the text and which of the keys did, as keyID has them. The
// error is the rule that is broken when none did.
func openSigned(signed []byte, keys []note.Verifier) (n *note.Note, by []string, err error) {
	n, err = note.Open(signed, note.VerifierList(keys...))
	if err != nil {
		names := make([]string, 0, len(keys))
		for _, k := range keys {
			names = append(names, k.Name())
		}
		return nil, nil, errors.New("is not signed by a key of " + strings.Join(slices.Compact(names), ", "))
	}
	for _, s := range n.Sigs {
		by = append(by, keyID(s.Name, s.Hash))
	}
	return n, by, nil
}

// checkSigners holds that signers are those of one log, and each there once.
func checkSigners(signers []*Signer) error {
	if len(signers) == 0 {
		return fmt.Errorf("%w: there is no signer", ErrKey)
	}
	seen := map[uint32]bool{}
	for _, s := range signers {
		if s.Name() != signers[0].Name() {
			return fmt.Errorf("%w: the signers are of several logs", ErrKey)
		}
		if seen[s.KeyHash()] {
			return fmt.Errorf("%w: two signers have one key", ErrKey)
		}
		seen[s.KeyHash()] = true
	}
	return nil
}

func verifiersOf(signers []*Signer) []note.Verifier {
	keys := make([]note.Verifier, len(signers))
	for i, s := range signers {
		keys[i] = s.verifier
	}
	return keys
}

// signedBy signs a text by all signers.
func signedBy(signers []*Signer, text string) ([]byte, error) {
	all := make([]note.Signer, len(signers))
	for i, s := range signers {
		all[i] = s
	}
	return note.Sign(&note.Note{Text: text}, all...)
}

// keyID is the short name of a key, which a verifier key begins with.
func keyID(name string, hash uint32) string { return fmt.Sprintf("%s+%08x", name, hash) }

// names are the keys of the signers, as keyID has them.
func names(signers []*Signer) []string {
	out := make([]string, len(signers))
	for i, s := range signers {
		out[i] = s.ID()
	}
	return out
}

func (p *Publisher) all() []*Signer { return *p.signers.Load() }

// SetSigners signs by other signers from now on, the first for good and the
// others for who trusts no other key yet. When it returns nil, the last
// checkpoint and the note of what was pruned are signed by each of them and by
// nobody else, durably; cosignatures of witnesses are kept. On an error each of
// the two may be signed by the old signers or by the new ones, and the old ones
// go on.
//
// So a key is changed in two steps, between which every verifier takes the new
// one over: the new signer first and the old one after it; then the new one
// alone. Who leaves out the old one before leaves those behind who trust it
// alone, and, should the process die within, a folder that the next Start does
// not take.
//
// It must not run together with PruneNote and the writing of its note. ErrKey
// for signers that cannot be used or are of another log, ErrEnded after Close,
// and the errors of ctx and the disk.
func (p *Publisher) SetSigners(ctx context.Context, signers []*Signer) error {
	if err := checkSigners(signers); err != nil {
		return err
	}
	if name := p.all()[0].Name(); signers[0].Name() != name {
		return fmt.Errorf("%w: the signers are of another log than %s", ErrKey, name)
	}
	a := &ask{signers: slices.Clone(signers), done: make(chan struct{})}
	select {
	case p.asks <- a:
	case <-p.done:
		return ErrEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	<-a.done // soon: it writes a few files
	return a.err
}

// VerifierKeys returns the texts that NewVerifier reads, without newlines: that
// of the signer that signs for good, and those of the others.
func (p *Publisher) VerifierKeys() []string {
	var out []string
	for _, s := range p.all() {
		out = append(out, s.vkey)
	}
	return out
}

// sign signs anew, by signers, what is signed in the folder, and takes them.
func (p *Publisher) sign(signers []*Signer) error {
	if err := p.signPruned(signers); err != nil {
		return err
	}
	if err := p.signLast(signers); err != nil {
		return err
	}
	if err := p.writeKeys(signers); err != nil {
		return err
	}
	p.signers.Store(&signers)
	return nil
}

// writeKeys writes the files that name the keys.
func (p *Publisher) writeKeys(signers []*Signer) error {
	var text strings.Builder
	for _, s := range signers {
		text.WriteString(s.vkey + "\n")
	}
	if err := p.dir.replace(VerifierKeysName, []byte(text.String())); err != nil {
		return err
	}
	return p.dir.replace(VerifierKeyName, []byte(signers[0].vkey+"\n"))
}

// known are the keys whose word is taken for what is signed anew.
func (p *Publisher) known(signers []*Signer) []note.Verifier {
	keys := verifiersOf(p.all())
	for _, s := range signers {
		if !slices.ContainsFunc(keys, func(k note.Verifier) bool { return k.KeyHash() == s.KeyHash() }) {
			keys = append(keys, s.verifier)
		}
	}
	return keys
}

// signPruned signs the note of what was pruned, which is verified before.
func (p *Publisher) signPruned(signers []*Signer) error {
	stored, err := p.dir.optional(PruneNoteName)
	if err != nil || stored == nil {
		return err
	}
	n, err := OpenPruneNote(stored, p.known(signers)...)
	if err != nil {
		return err
	}
	if n.Signed, err = signedBy(signers, n.text()); err != nil {
		return fmt.Errorf("sign the note of what is pruned: %w", err)
	}
	return p.dir.replace(PruneNoteName, n.Signed)
}

// signLast signs the last checkpoint, which this Publisher made or verified.
func (p *Publisher) signLast(signers []*Signer) error {
	last := p.last.Load()
	if last == nil {
		return nil
	}
	cp := *last
	var err error
	if cp.Signed, err = signedBy(signers, cp.text()); err != nil {
		return fmt.Errorf("sign the checkpoint: %w", err)
	}
	cp.SignedBy = names(signers)
	release, err := p.dir.lock()
	if err != nil {
		return err
	}
	defer release()
	stored, err := p.dir.optional(checkpointName)
	if err != nil {
		return err
	}
	if text, lines, ok := strings.Cut(string(stored), "\n\n"); ok && text+"\n" == cp.text() {
		for _, k := range p.known(signers) {
			lines = withoutSignature(lines, note.Signature{Name: k.Name(), Hash: k.KeyHash()})
		}
		if kept := append(cp.Signed, lines...); strings.Count(string(kept), "\n") <= maxSignatures {
			cp.Signed = kept
		}
	}
	if err := p.dir.replace(checkpointName, cp.Signed); err != nil {
		return err
	}
	p.last.Store(&cp)
	return nil
}

// complete signs anew, at the start, what one of the signers has not signed: a
// change of the signers was interrupted.
func (p *Publisher) complete() error {
	signers := p.all()
	whole := func(name string) (bool, error) {
		stored, err := p.dir.optional(name)
		if err != nil || stored == nil {
			return err == nil, err
		}
		_, by, err := openSigned(stored, verifiersOf(signers))
		if err != nil {
			return false, nil //nolint:nilerr // whoever signs it anew says so
		}
		return len(by) == len(signers), nil
	}
	for _, name := range []string{checkpointName, PruneNoteName} {
		switch ok, err := whole(name); {
		case err != nil:
			return err
		case !ok:
			return p.sign(signers)
		}
	}
	return p.writeKeys(signers)
}
