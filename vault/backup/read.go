package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A Reader reads an artefact from its beginning to its end. It belongs to one
// goroutine.
type Reader struct {
	header   Header
	manifest Manifest
	plain    *plainReader
	rows     []uint64 // by index in manifest.Tables
	at       int
	before   []byte
	row      []byte // key and value of the last row
	err      error
}

// Open reads the header and the manifest of an artefact and unwraps its key by
// one call of the KEK. keys.ErrWrongKey when the KEK did not wrap it or the
// header was changed; ErrFormat; ErrDamaged. Other errors are the KEK's and
// those of r.
func Open(ctx context.Context, r io.Reader, kek keys.KEK) (*Reader, error) {
	h, hash, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	plain, err := kek.Unwrap(ctx, h.wrapped, kekAAD(h.Vault, h.Kind))
	if err != nil {
		return nil, fmt.Errorf("unwrap the key of the backup, which %q wrapped, by %s: %w", h.KEK, kek.Name(), err)
	}
	defer clear(plain)
	if len(plain) != keys.SecretSize {
		return nil, fmt.Errorf("%w: its key has %d bytes, want %d", ErrDamaged, len(plain), keys.SecretSize)
	}
	lock, err := newLock((*[keys.SecretSize]byte)(plain), hash)
	if err != nil {
		return nil, err
	}
	return openPlain(newChunkReader(r, lock), h.Header)
}

// openPlain reads the manifest out of what stands in the chunks.
func openPlain(r io.Reader, h Header) (*Reader, error) {
	b := &Reader{header: h, plain: &plainReader{r: r, sum: sha256.New()}}
	n, err := b.plain.bytes(nil, 4)
	if err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(n)
	if length > maxManifest {
		return nil, fmt.Errorf("%w: a manifest of %d bytes", ErrDamaged, length)
	}
	text, err := b.plain.bytes(nil, int(length))
	if err != nil {
		return nil, err
	}
	m := &b.manifest
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%w: the manifest cannot be read", ErrDamaged)
	}
	want := m.header(h.ID, h.KEK, nil)
	if h.Kind != want.Kind || h.Vault != want.Vault || h.Pair != want.Pair || !h.Time.Equal(want.Time) || !slices.Equal(h.Epochs, want.Epochs) || !rising(m.Tables) {
		return nil, fmt.Errorf("%w: the manifest contradicts the header or itself", ErrDamaged)
	}
	for i := range m.Tables {
		m.Tables[i].Rows = 0
	}
	b.rows = make([]uint64, len(m.Tables))
	return b, nil
}

// Header returns what the artefact tells in clear; it is proven.
func (b *Reader) Header() Header { return b.header }

// Manifest returns what the artefact is a copy of. Rows are counted in it
// when Next has returned io.EOF, and 0 before.
func (b *Reader) Manifest() Manifest {
	m := b.manifest
	m.Tables = slices.Clone(m.Tables)
	return m
}

// Next returns the next row. The slices are valid until the next call. io.EOF
// says that the artefact ends here and is whole; every other error, which
// stays, that it is not, and that no row that was returned should be used.
func (b *Reader) Next() (table uint8, key, value []byte, err error) {
	if b.err == nil {
		table, key, value, b.err = b.next()
	}
	if b.err != nil {
		return 0, nil, nil, b.err
	}
	return table, key, value, nil
}

func (b *Reader) next() (table uint8, key, value []byte, err error) {
	if table, err = b.plain.ReadByte(); err != nil {
		return 0, nil, nil, err
	}
	if table == 0 {
		return 0, nil, nil, b.end()
	}
	for b.at < len(b.rows) && b.manifest.Tables[b.at].Number < table {
		b.at, b.before = b.at+1, b.before[:0]
	}
	if b.at == len(b.rows) || b.manifest.Tables[b.at].Number != table {
		return 0, nil, nil, fmt.Errorf("%w: a row of table %d, which is not in the manifest or comes late", ErrDamaged, table)
	}
	keyLen, err := b.plain.length(1, store.MaxKeyLen)
	if err != nil {
		return 0, nil, nil, err
	}
	valueLen, err := b.plain.length(0, store.MaxValueLen)
	if err != nil {
		return 0, nil, nil, err
	}
	if b.row, err = b.plain.bytes(b.row[:0], keyLen+valueLen); err != nil {
		return 0, nil, nil, err
	}
	key, value = b.row[:keyLen:keyLen], b.row[keyLen:]
	if len(b.before) > 0 && bytes.Compare(key, b.before) <= 0 {
		return 0, nil, nil, fmt.Errorf("%w: the keys of table %d do not rise", ErrDamaged, table)
	}
	b.before = append(b.before[:0], key...)
	b.rows[b.at]++
	return table, key, value, nil
}

// end holds what was read against the trailer; io.EOF when they agree.
func (b *Reader) end() error {
	count, err := b.plain.ReadByte()
	if err != nil {
		return err
	}
	if int(count) != len(b.rows) {
		return fmt.Errorf("%w: its end counts the rows of %d tables, want %d", ErrDamaged, count, len(b.rows))
	}
	for i, t := range b.manifest.Tables {
		line, err := b.plain.bytes(nil, 9)
		if err != nil {
			return err
		}
		if n := binary.BigEndian.Uint64(line[1:]); line[0] != t.Number || n != b.rows[i] {
			return fmt.Errorf("%w: %d rows of table %d were read, its end counts others", ErrDamaged, b.rows[i], t.Number)
		}
	}
	sum := b.plain.sum.Sum(nil)
	stored, err := b.plain.bytes(nil, sha256.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, stored) {
		return fmt.Errorf("%w: its hash is another", ErrDamaged)
	}
	switch _, err := b.plain.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	case !errors.Is(err, errShort):
		return err
	}
	for i, n := range b.rows {
		b.manifest.Tables[i].Rows = n
	}
	return io.EOF
}

// errShort: the plaintext ended in the middle of something.
var errShort = fmt.Errorf("%w: it ends too early", ErrDamaged)

// plainReader reads what stands in the chunks and hashes it.
type plainReader struct {
	r   io.Reader
	sum hash.Hash
	one [1]byte
}

// bytes appends n bytes to dst.
func (p *plainReader) bytes(dst []byte, n int) ([]byte, error) {
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	if err := p.full(dst[at:]); err != nil {
		return nil, err
	}
	return dst, nil
}

func (p *plainReader) full(b []byte) error {
	switch _, err := io.ReadFull(p.r, b); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errShort
	case err != nil:
		return err
	}
	_, _ = p.sum.Write(b) // it never fails
	return nil
}

// ReadByte implements io.ByteReader, for uvarints.
func (p *plainReader) ReadByte() (byte, error) {
	err := p.full(p.one[:])
	return p.one[0], err
}

// length reads a length and holds it to its bounds.
func (p *plainReader) length(least, most int) (int, error) {
	n, err := binary.ReadUvarint(p)
	switch {
	case errors.Is(err, ErrDamaged):
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("%w: a length that is no number", ErrDamaged)
	case n < uint64(least) || n > uint64(most):
		return 0, fmt.Errorf("%w: a key or value of %d bytes", ErrDamaged, n)
	}
	return int(n), nil
}
