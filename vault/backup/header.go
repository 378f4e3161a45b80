package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

const (
	magic  = "cloakroom-backup"
	format = 1

	fixedHeader = len(magic) + 1 + 1 + 3*16 + 8
	maxWrapped  = math.MaxUint16
)

// Header is what an artefact tells in clear. Nothing of it is proven before
// the first chunk was opened, which Open does.
type Header struct {
	Kind  Kind
	ID    ID // of this artefact
	Pair  ID // of the run that made it
	Vault ID
	Time  time.Time
	KEK   string // name of the KEK that wrapped its key
	// Epochs are the erasure epochs that the persons' keys in it are of; none in
	// an artefact of values.
	Epochs []uint32
}

// Peek reads the header of an artefact. ErrFormat when it is none.
func Peek(r io.Reader) (Header, error) {
	h, _, err := readHeader(r)
	if err != nil {
		return Header{}, err
	}
	return h.Header, nil
}

type fullHeader struct {
	Header
	wrapped []byte
}

func (h *fullHeader) encode() ([]byte, error) {
	if len(h.KEK) > math.MaxUint8 || len(h.wrapped) > maxWrapped || len(h.Epochs) > math.MaxUint8 {
		return nil, fmt.Errorf("%w: the name of the KEK, the wrapped key or the list of epochs is too long", ErrUsage)
	}
	b := append([]byte(magic), format, byte(h.Kind))
	b = append(b, h.ID[:]...)
	b = append(b, h.Pair[:]...)
	b = append(b, h.Vault[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Time.UnixNano()))
	b = append(b, byte(len(h.Epochs)))
	for _, e := range h.Epochs {
		b = binary.BigEndian.AppendUint32(b, e)
	}
	b = append(append(b, byte(len(h.KEK))), h.KEK...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.wrapped)))
	return append(b, h.wrapped...), nil
}

// readHeader reads a header and returns its hash, to which all chunks are
// bound.
func readHeader(r io.Reader) (*fullHeader, [sha256.Size]byte, error) {
	var text bytes.Buffer
	h, err := parseHeader(io.TeeReader(r, &text))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it ends in its header", ErrFormat)
	}
	return h, sha256.Sum256(text.Bytes()), err
}

func parseHeader(r io.Reader) (*fullHeader, error) {
	fixed := make([]byte, fixedHeader)
	if _, err := io.ReadFull(r, fixed); err != nil {
		return nil, err
	}
	b, ok := bytes.CutPrefix(fixed, []byte(magic))
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrFormat, magic)
	case b[0] != format:
		return nil, fmt.Errorf("%w: it is of format %d, known is %d", ErrFormat, b[0], format)
	case Kind(b[1]) != Values && Kind(b[1]) != Keys:
		return nil, fmt.Errorf("%w: unknown kind of artefact", ErrFormat)
	}
	h := &fullHeader{Header: Header{Kind: Kind(b[1]), ID: ID(b[2:]), Pair: ID(b[18:]), Vault: ID(b[34:])}}
	h.Time = time.Unix(0, int64(binary.BigEndian.Uint64(b[50:]))).UTC()
	epochs, err := readSized(r, 1, 4)
	if err != nil {
		return nil, err
	}
	for e := range slices.Chunk(epochs, 4) {
		h.Epochs = append(h.Epochs, binary.BigEndian.Uint32(e))
	}
	name, err := readSized(r, 1, 1)
	if err != nil {
		return nil, err
	}
	h.KEK = string(name)
	h.wrapped, err = readSized(r, 2, 1)
	return h, err
}

// readSized reads a number of so many bytes, then as many items of a size.
func readSized(r io.Reader, width, item int) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[2-width:]); err != nil {
		return nil, err
	}
	b := make([]byte, int(binary.BigEndian.Uint16(n[:]))*item)
	_, err := io.ReadFull(r, b)
	return b, err
}
