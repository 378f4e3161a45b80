package keys

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	rootName     = "root"
	formatRoot1  = 1
	formatRoot   = 2
	rootLabel1   = "cloakroom/root/v1"
	rootLabel    = "cloakroom/root/v2"
	rootFixed    = 1 + 4 + 4 + 8 + 8
	maxKEKName   = 255
	maxRowMoment = 1 << 40 // Unix seconds; what is past it is no time
)

// RootInfo describes the root without its key.
type RootInfo struct {
	// Version is 1 for the first root and rises by one with RotateRoot.
	Version uint32
	// Wrapping is 1 for the first wrapping and rises by one with each.
	Wrapping uint32
	// Made is when the root was made and Wrapped when it was last wrapped, in
	// whole seconds, UTC. Zero in a row of format 1, which did not say.
	Made, Wrapped time.Time
	// KEK is the name of the KEK that wrapped it, as stored: unproven.
	KEK string
	// Recovery describes the second wrapping, nil when there is none.
	Recovery *RecoveryInfo
}

// rootRow is the stored root, still wrapped.
type rootRow struct {
	version, wrapping uint32
	made, wrapped     int64 // Unix seconds
	kek               string
	secret            []byte // as the KEK wrapped it
	blob              []byte // the whole row
}

func parseRootRow(blob []byte) (w rootRow, err error) {
	bad := func(rule string) (rootRow, error) {
		return rootRow{}, fmt.Errorf("%w: root row: %s", ErrFormat, rule)
	}
	if len(blob) == 0 {
		return bad("empty")
	}
	rest := blob[1:]
	switch blob[0] {
	case formatRoot1:
		w.version, w.wrapping = 1, 1
	case formatRoot:
		if len(blob) < rootFixed {
			return bad("too short")
		}
		w.version = binary.BigEndian.Uint32(blob[1:])
		w.wrapping = binary.BigEndian.Uint32(blob[5:])
		w.made = int64(binary.BigEndian.Uint64(blob[9:]))
		w.wrapped = int64(binary.BigEndian.Uint64(blob[17:]))
		if w.version == 0 || w.wrapping == 0 || !isMoment(w.made) || !isMoment(w.wrapped) {
			return bad("a number out of range")
		}
		rest = blob[rootFixed:]
	default:
		return bad("unknown format number")
	}
	if len(rest) < 1 || len(rest) < 1+int(rest[0]) {
		return bad("too short")
	}
	w.kek, w.secret, w.blob = string(rest[1:1+rest[0]]), rest[1+int(rest[0]):], blob
	return w, nil
}

func isMoment(seconds int64) bool { return seconds >= 0 && seconds < maxRowMoment }

// aad is what the KEK binds the root to. It names the vault and counts the
// wrappings, so a row of another vault does not open, and one that was put
// back opens only as what it was. The name of the KEK is left out: it helps to
// find the right key and decides nothing.
func (w *rootRow) aad(vault [16]byte) []byte {
	if len(w.blob) > 0 && w.blob[0] == formatRoot1 {
		return append([]byte(rootLabel1), vault[:]...)
	}
	aad := append([]byte(rootLabel), vault[:]...)
	return w.appendNumbers(aad)
}

func (w *rootRow) appendNumbers(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, w.version)
	dst = binary.BigEndian.AppendUint32(dst, w.wrapping)
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.made))
	return binary.BigEndian.AppendUint64(dst, uint64(w.wrapped))
}

// unwrap returns the root's bytes by one call of the KEK. The caller clears
// them.
func (w *rootRow) unwrap(ctx context.Context, kek KEK, vault [16]byte) (*[SecretSize]byte, error) {
	plain, err := kek.Unwrap(ctx, w.secret, w.aad(vault))
	if err != nil {
		return nil, fmt.Errorf("unwrapping the root by %s (it was wrapped by %q): %w", kek.Name(), w.kek, err)
	}
	if len(plain) != SecretSize {
		clear(plain)
		return nil, fmt.Errorf("%w: the root has %d bytes, want %d", ErrFormat, len(plain), SecretSize)
	}
	return (*[SecretSize]byte)(plain), nil
}

// open is unwrap for the cipher alone.
func (w *rootRow) open(ctx context.Context, kek KEK, vault [16]byte) (*root, error) {
	secret, err := w.unwrap(ctx, kek, vault)
	if err != nil {
		return nil, err
	}
	defer clear(secret[:])
	return newRoot(secret, vault, w.version)
}

// wrap returns the row with the secret wrapped by a KEK, once more and now. It
// calls the KEK twice: what the KEK cannot open again is never stored.
func (w rootRow) wrap(ctx context.Context, kek KEK, vault [16]byte, secret *[SecretSize]byte) (rootRow, error) {
	name := kek.Name()
	if len(name) > maxKEKName {
		return rootRow{}, fmt.Errorf("%w: the KEK's name has %d bytes, want at most %d", ErrUsage, len(name), maxKEKName)
	}
	if w.wrapping == ^uint32(0) {
		return rootRow{}, fmt.Errorf("%w: the root has no wrapping numbers left", ErrUsage)
	}
	n := rootRow{version: w.version, wrapping: w.wrapping + 1, made: w.made, wrapped: time.Now().Unix(), kek: name}
	wrapped, err := kek.Wrap(ctx, secret[:], n.aad(vault))
	if err != nil {
		return rootRow{}, fmt.Errorf("wrapping the root by %s: %w", name, err)
	}
	n.secret = wrapped
	n.blob = append(n.appendNumbers([]byte{formatRoot}), byte(len(name)))
	n.blob = append(append(n.blob, name...), wrapped...)
	again, err := n.unwrap(ctx, kek, vault)
	if err != nil {
		return rootRow{}, fmt.Errorf("trying the new wrapping: %w", err)
	}
	defer clear(again[:])
	if subtle.ConstantTimeCompare(again[:], secret[:]) != 1 {
		return rootRow{}, fmt.Errorf("%w: %s unwraps the root to something else", ErrWrongKey, name)
	}
	return n, nil
}

func (w *rootRow) info() RootInfo {
	return RootInfo{Version: w.version, Wrapping: w.wrapping, Made: moment(w.made), Wrapped: moment(w.wrapped), KEK: w.kek}
}

func moment(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// PeekRootKEK returns the name of the KEK that wrapped the root among rows. It
// is unproven: good for choosing the provider to ask, and for nothing else.
// ErrNoKey when there is no root, ErrFormat when its row is not understood.
func PeekRootKEK(rows []Row) (name string, err error) {
	row, err := rootAmong(rows)
	if err != nil {
		return "", err
	}
	return row.kek, nil
}

func rootAmong(rows []Row) (rootRow, error) {
	for _, row := range rows {
		if row.Name == rootName {
			return parseRootRow(row.Blob)
		}
	}
	return rootRow{}, fmt.Errorf("%w: the key storage holds no root", ErrNoKey)
}
