package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Emit takes one row of a dump: tables in rising order, the keys of each in
// rising order. The slices are not kept.
type Emit func(table uint8, key, value []byte) error

// Write writes an artefact: m, then the rows that dump emits, which must be of
// m.Tables. It returns the header and the manifest with the rows counted. The
// key of the artefact is fresh and wrapped by one call of the KEK. What was
// written to w before an error is no artefact. Errors are those of the KEK,
// of w and of dump, the context's, and ErrUsage.
func Write(ctx context.Context, w io.Writer, kek keys.KEK, m Manifest, dump func(Emit) error) (Header, Manifest, error) {
	m.Time = m.Time.UTC()
	text, err := m.encode()
	if err != nil {
		return Header{}, m, err
	}
	var key [keys.SecretSize]byte
	defer clear(key[:])
	_, _ = rand.Read(key[:]) // it never fails
	wrapped, err := kek.Wrap(ctx, key[:], kekAAD(m.Vault, m.Kind))
	if err != nil {
		return Header{}, m, fmt.Errorf("wrap the key of the backup by %s: %w", kek.Name(), err)
	}
	var id ID
	_, _ = rand.Read(id[:])
	h := m.header(id, kek.Name(), wrapped)
	head, err := h.encode()
	if err != nil {
		return Header{}, m, err
	}
	lock, err := newLock(&key, sha256.Sum256(head))
	if err != nil {
		return Header{}, m, err
	}
	if _, err := w.Write(head); err != nil {
		return Header{}, m, fmt.Errorf("write the backup: %w", err)
	}
	chunks := newChunkWriter(w, lock)
	tables, err := writePlain(ctx, chunks, text, m.Tables, dump)
	if err == nil {
		err = chunks.Close()
	}
	if err != nil {
		return Header{}, m, fmt.Errorf("write the backup: %w", err)
	}
	m.Tables = tables
	return h.Header, m, nil
}

// writePlain writes what stands in the chunks and counts the rows.
func writePlain(ctx context.Context, w io.Writer, manifest []byte, tables []Table, dump func(Emit) error) ([]Table, error) {
	p := &plainWriter{ctx: ctx, w: w, sum: sha256.New(), tables: slices.Clone(tables)}
	for i := range p.tables {
		p.tables[i].Rows = 0
	}
	if err := p.write(binary.BigEndian.AppendUint32(nil, uint32(len(manifest))), manifest); err != nil {
		return nil, err
	}
	if err := dump(p.row); err != nil {
		return nil, err
	}
	trailer := []byte{0, byte(len(p.tables))}
	for _, t := range p.tables {
		trailer = binary.BigEndian.AppendUint64(append(trailer, t.Number), t.Rows)
	}
	if err := p.write(trailer); err != nil {
		return nil, err
	}
	return p.tables, p.write(p.sum.Sum(nil))
}

type plainWriter struct {
	ctx    context.Context
	w      io.Writer
	sum    hash.Hash
	tables []Table
	at     int    // index of the present table
	before []byte // key of the row before in it
	frame  []byte
	rows   uint64
}

func (p *plainWriter) write(parts ...[]byte) error {
	for _, b := range parts {
		_, _ = p.sum.Write(b) // it never fails
		if _, err := p.w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// row is the Emit of a dump.
func (p *plainWriter) row(table uint8, key, value []byte) error {
	for p.at < len(p.tables) && p.tables[p.at].Number < table {
		p.at, p.before = p.at+1, p.before[:0]
	}
	switch {
	case p.at == len(p.tables) || p.tables[p.at].Number != table:
		return fmt.Errorf("%w: a row of table %d, which is not in the manifest or comes late", ErrUsage, table)
	case len(key) == 0 || len(key) > store.MaxKeyLen || len(value) > store.MaxValueLen:
		return fmt.Errorf("%w: a row of table %d is longer than a store's may be", ErrUsage, table)
	case len(p.before) > 0 && bytes.Compare(key, p.before) <= 0:
		return fmt.Errorf("%w: the keys of table %d do not rise", ErrUsage, table)
	}
	if p.rows++; p.rows%1024 == 0 {
		if err := p.ctx.Err(); err != nil {
			return err
		}
	}
	p.tables[p.at].Rows++
	p.before = append(p.before[:0], key...)
	p.frame = append(p.frame[:0], table)
	p.frame = binary.AppendUvarint(p.frame, uint64(len(key)))
	p.frame = binary.AppendUvarint(p.frame, uint64(len(value)))
	return p.write(p.frame, key, value)
}
