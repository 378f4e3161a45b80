package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const (
	entryHead  = 1 + 1 + 1 + 4
	entryBlock = 32

	entryPut    = 1
	entryDelete = 2
)

// entryAD is the associated data of a pending entry: it opens only in its own
// place.
func entryAD(dst []byte, id [16]byte, gen, seq uint64) []byte {
	dst = append(append(dst, "cloakroom pending 1"...), id[:]...)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, gen), seq)
}

// appendEntry encodes a change of the row key (table number, then key).
func appendEntry(dst, key []byte, v *version) []byte {
	start, op := len(dst), byte(entryPut)
	if v.deleted {
		op = entryDelete
	}
	dst = append(dst, key[0], op, byte(len(key)-1))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.value)))
	dst = append(append(dst, key[1:]...), v.value...)
	for (len(dst)-start)%entryBlock != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// parseEntry decodes an opened entry. The value of v is a copy.
func parseEntry(b []byte, tables []store.Table) (key string, v *version, err error) {
	bad := fmt.Errorf("%w: a pending entry of %d bytes makes no sense", store.ErrCorrupt, len(b))
	if len(b) < entryHead || len(b)%entryBlock != 0 {
		return "", nil, bad
	}
	table, op, klen, vlen := b[0], b[1], int(b[2]), int(binary.BigEndian.Uint32(b[3:]))
	t := store.Find(tables, table)
	switch {
	case t == nil || t.Kind != store.Scattered,
		op != entryPut && (op != entryDelete || vlen != 0),
		klen < 1 || klen > store.MaxKeyLen || vlen > store.MaxValueLen,
		(entryHead+klen+vlen+entryBlock-1)/entryBlock*entryBlock != len(b):
		return "", nil, bad
	}
	body := b[entryHead:]
	for _, pad := range body[klen+vlen:] {
		if pad != 0 {
			return "", nil, bad
		}
	}
	key = string(append([]byte{table}, body[:klen]...))
	return key, &version{deleted: op == entryDelete, value: append([]byte{}, body[klen:klen+vlen]...)}, nil
}

// pendingGens lists the generations in the pending log, rising.
func pendingGens(tx *bbolt.Tx) ([]uint64, error) {
	var gens []uint64
	c := tx.Cursor()
	prefix := []byte{'p'}
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		if len(k) != len(prefix)+8 {
			return nil, fmt.Errorf("%w: the name of a pending log has %d bytes", store.ErrCorrupt, len(k))
		}
		gens = append(gens, binary.BigEndian.Uint64(k[1:]))
	}
	return gens, nil
}

// dropPending removes the generations up to one from the pending log and
// returns them.
func dropPending(tx *bbolt.Tx, upTo uint64) (dropped []uint64, err error) {
	gens, err := pendingGens(tx)
	if err != nil {
		return nil, err
	}
	for _, gen := range gens {
		if gen > upTo {
			break
		}
		if err := tx.DeleteBucket(bucketPending(gen)); err != nil {
			return nil, err
		}
		dropped = append(dropped, gen)
	}
	return dropped, nil
}

// replay reads the pending log of one generation into a layer, and returns
// the last sequence number.
func (s *Store) replay(tx *bbolt.Tx, l link, gen uint64) (*layer, uint64, error) {
	into := newLayer(gen)
	last := uint64(0)
	b := tx.Bucket(bucketPending(gen))
	if b == nil {
		return into, 0, nil // nothing was written to it
	}
	var ad, plain []byte
	c := b.Cursor()
	for k, sealed := c.First(); k != nil; k, sealed = c.Next() {
		if len(k) != 8 || len(sealed) > maxStored {
			return nil, 0, fmt.Errorf("%w: generation %d of the pending log has an entry of the wrong shape", store.ErrCorrupt, gen)
		}
		last = binary.BigEndian.Uint64(k)
		ad = entryAD(ad[:0], l.id, gen, last)
		var err error
		if plain, err = s.o.Seal.Open(plain[:0], sealed, ad); err != nil {
			return nil, 0, fmt.Errorf("%w: entry %d of the pending log does not open", store.ErrCorrupt, last)
		}
		key, v, err := parseEntry(plain, s.o.Tables)
		if err != nil {
			return nil, 0, err
		}
		if old := into.rows[key]; old != nil {
			into.bytes -= len(old.value)
		} else {
			into.bytes += len(key) + rowOverhead
		}
		into.bytes += len(v.value)
		into.rows[key] = v
		into.entries++
	}
	clear(plain)
	return into, last, nil
}
