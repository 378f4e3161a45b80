package keys

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	recoveryName     = "recovery"
	formatRecovery   = 1
	recoveryLabel    = "cloakroom/recovery/v1"
	recoveryRowLabel = "cloakroom/recovery-row/v1"
	recoveryFixed    = 1 + 4 + 4 + 8 + 8 + 1 + 1
	recoverySealed   = RecoveryKeySize + SecretSize + 16 // HPKE's encapsulated key and ciphertext
)

// RecoveryKeySize is the length of an uncompressed point of P-256 in bytes.
const RecoveryKeySize = 65

// CommitmentSize is the length of a compressed point of P-256 in bytes.
const CommitmentSize = 33

// RecoveryPublic is the public half of a recovery key, whose private half is
// split. Nothing in it is secret.
type RecoveryPublic struct {
	// Set names the shares that belong together.
	Set [8]byte
	// Shares is how many there are, and Threshold how many of them make the key:
	// 1 ≤ Threshold ≤ Shares.
	Shares, Threshold uint8
	// Key is the public key: an uncompressed point of P-256.
	Key [RecoveryKeySize]byte
	// Commitments are the Threshold-1 further commitments of the splitting,
	// compressed points of P-256, by which a wrong share is told from a right
	// one. This package stores them and does not look into them.
	Commitments [][CommitmentSize]byte
}

// check returns ErrUsage when p breaks a rule.
func (p *RecoveryPublic) check() error {
	switch {
	case p.Threshold == 0 || p.Threshold > p.Shares:
		return fmt.Errorf("%w: recovery: a threshold of %d with %d shares", ErrUsage, p.Threshold, p.Shares)
	case len(p.Commitments) != int(p.Threshold)-1:
		return fmt.Errorf("%w: recovery: %d commitments, want %d", ErrUsage, len(p.Commitments), p.Threshold-1)
	}
	if _, err := ecdh.P256().NewPublicKey(p.Key[:]); err != nil {
		return fmt.Errorf("%w: recovery: the public key is not a point of P-256", ErrUsage)
	}
	return nil
}

// RecoveryInfo describes the second wrapping of the root.
type RecoveryInfo struct {
	RecoveryPublic
	// Made is when the recovery key was set, whole seconds, UTC.
	Made time.Time
}

// RecoverySecret is the private half of a recovery key, put together again.
type RecoverySecret struct {
	// Set is that of RecoveryPublic.
	Set [8]byte
	// Scalar is the private key of P-256, 32 bytes, big-endian.
	Scalar Secret
}

// recoveryRow is the stored second wrapping. A blob without shares says that
// there is none any more. The zero value is no row.
type recoveryRow struct {
	generation  uint32 // rises with each change
	rootVersion uint32
	made        int64
	public      RecoveryPublic
	sealed      []byte // by HPKE
	head        []byte // the row before sealed
	blob        []byte // the whole row
}

func (w *recoveryRow) removed() bool { return w.public.Shares == 0 }

func (w *recoveryRow) info() *RecoveryInfo {
	if w.removed() {
		return nil
	}
	info := &RecoveryInfo{w.public, moment(w.made)}
	info.Commitments = append([][CommitmentSize]byte(nil), w.public.Commitments...)
	return info
}

func (w *recoveryRow) appendHead() []byte {
	b := binary.BigEndian.AppendUint32([]byte{formatRecovery}, w.generation)
	b = binary.BigEndian.AppendUint32(b, w.rootVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(w.made))
	b = append(b, w.public.Set[:]...)
	b = append(b, w.public.Shares, w.public.Threshold)
	if w.removed() {
		return b
	}
	b = append(b, w.public.Key[:]...)
	for _, c := range w.public.Commitments {
		b = append(b, c[:]...)
	}
	return b
}

func parseRecoveryRow(blob []byte) (w recoveryRow, err error) {
	bad := func(rule string) (recoveryRow, error) {
		return recoveryRow{}, fmt.Errorf("%w: recovery row: %s", ErrFormat, rule)
	}
	if len(blob) < recoveryFixed+gcmOverhead {
		return bad("too short")
	}
	if blob[0] != formatRecovery {
		return bad("unknown format number")
	}
	w.generation = binary.BigEndian.Uint32(blob[1:])
	w.rootVersion = binary.BigEndian.Uint32(blob[5:])
	w.made = int64(binary.BigEndian.Uint64(blob[9:]))
	copy(w.public.Set[:], blob[17:])
	w.public.Shares, w.public.Threshold = blob[25], blob[26]
	size := recoveryFixed
	switch {
	case w.generation == 0 || w.rootVersion == 0 || !isMoment(w.made):
		return bad("a number out of range")
	case w.removed() && w.public.Threshold == 0:
		w.head, w.blob = blob[:size:size], blob
		if len(blob) != size+gcmOverhead {
			return bad("of another length")
		}
		return w, nil
	case w.public.Threshold == 0 || w.public.Threshold > w.public.Shares:
		return bad("a threshold out of range")
	}
	rest := int(w.public.Threshold) - 1
	size += RecoveryKeySize + rest*CommitmentSize
	if len(blob) != size+recoverySealed+gcmOverhead {
		return bad("of another length")
	}
	copy(w.public.Key[:], blob[recoveryFixed:])
	for i := range rest {
		at := recoveryFixed + RecoveryKeySize + i*CommitmentSize
		w.public.Commitments = append(w.public.Commitments, [CommitmentSize]byte(blob[at:]))
	}
	w.head, w.sealed, w.blob = blob[:size:size], blob[size:size+recoverySealed], blob
	return w, nil
}

// next returns the row after w, which says that the root is also sealed to
// public; with no secret it says that it no longer is.
func (w *recoveryRow) next(rt *root, public RecoveryPublic, made int64, secret *[SecretSize]byte) (recoveryRow, error) {
	if w.generation == ^uint32(0) {
		return recoveryRow{}, fmt.Errorf("%w: the recovery row has no generation numbers left", ErrUsage)
	}
	n := recoveryRow{generation: w.generation + 1, rootVersion: rt.version, made: made, public: public}
	n.head = n.appendHead()
	if !n.removed() && secret != nil {
		key, err := hpke.DHKEM(ecdh.P256()).NewPublicKey(public.Key[:])
		if err == nil {
			n.sealed, err = hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), n.bound(recoveryLabel, rt.vault, false), secret[:])
		}
		if err != nil {
			return recoveryRow{}, fmt.Errorf("sealing the root to the recovery key: %w", err)
		}
	}
	n.blob = append(bytes.Clone(n.head), n.sealed...)
	n.blob = rt.gcm.Seal(n.blob, nil, nil, n.bound(recoveryRowLabel, rt.vault, true))
	return n, nil
}

// bound is what the row is bound to: its place and its own words.
func (w *recoveryRow) bound(label string, vault [16]byte, whole bool) []byte {
	b := append(append([]byte(label), vault[:]...), w.head...)
	if whole {
		b = append(b, w.sealed...)
	}
	return b
}

// prove checks that who wrote the row had the root. Without it, who writes
// the disk could put a public key of their own in the place of the stored one,
// and the next root would be sealed to it.
func (w *recoveryRow) prove(rt *root) error {
	proof := w.blob[len(w.blob)-gcmOverhead:]
	if _, err := rt.gcm.Open(nil, nil, proof, w.bound(recoveryRowLabel, rt.vault, true)); err != nil {
		return fmt.Errorf("%w: recovery row", ErrWrongKey)
	}
	return nil
}

// open returns the root's bytes, which the caller clears. ErrWrongKey when
// secret is not the private half of the row's key.
func (w *recoveryRow) open(secret RecoverySecret, vault [16]byte) (*[SecretSize]byte, error) {
	scalar := secret.Scalar.Expose()
	if scalar == nil || secret.Set != w.public.Set {
		return nil, fmt.Errorf("%w: the shares are not of the set that the recovery row names", ErrWrongKey)
	}
	key, err := hpke.DHKEM(ecdh.P256()).NewPrivateKey(scalar[:])
	if err != nil || !bytes.Equal(key.PublicKey().Bytes(), w.public.Key[:]) {
		return nil, fmt.Errorf("%w: the recovery key is another one", ErrWrongKey)
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), w.bound(recoveryLabel, vault, false), w.sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: recovery row", ErrWrongKey)
	}
	if len(plain) != SecretSize {
		clear(plain)
		return nil, fmt.Errorf("%w: the recovered root has %d bytes, want %d", ErrFormat, len(plain), SecretSize)
	}
	return (*[SecretSize]byte)(plain), nil
}
