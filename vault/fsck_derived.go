package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// identity checks that the person's id opens, and that the person is found by
// it.
func (c *fsck) identity(ctx context.Context, k *subjectKey, same bool) error {
	p := c.person
	id, err := "", errors.New("it is missing")
	if p.identity != nil {
		id, err = c.v.openIdentity(k, p.identity)
	}
	if err != nil {
		c.about(Fault{Kind: FaultIdentity, Detail: err.Error()})
		return nil
	}
	f, err := c.v.finder(c.v.ring.Snapshot())
	if err != nil {
		return err
	}
	hashes, err := f.person(id)
	if err != nil {
		return err
	}
	refs, err := c.v.findHashes(ctx, f, []personHash{hashes})
	if err != nil && !errors.Is(err, errUnasked) {
		return err
	}
	switch {
	case refs[0] == p.ref || !same || err != nil:
		return nil
	case refs[0] != 0:
		c.about(Fault{Kind: FaultLookupOther})
		return nil
	}
	c.batch.RequireEqual(rows.People, rows.HeaderKey(p.ref), p.headerRow)
	hashes.each(func(h rows.Hash) { c.batch.RequireAbsent(rows.Lookup, bytes.Clone(h[:])) })
	c.batch.Put(rows.Lookup, bytes.Clone(hashes.primary[:]), rows.RefKey(p.ref))
	return c.derived(ctx, Fault{Kind: FaultLookup}, func(have *store.Rows) bool {
		row, _ := have.Value(0)
		return bytes.Equal(row, p.headerRow)
	}, store.Key{Table: rows.People, Key: rows.HeaderKey(p.ref)})
}

// derived tells a fault of a row that can be derived, when what is stored now
// still says so, and repairs it by the batch.
func (c *fsck) derived(ctx context.Context, f Fault, still func(*store.Rows) bool, now ...store.Key) error {
	var have store.Rows
	if err := c.v.values.Get(ctx, now, &have); err != nil {
		return err
	}
	if !still(&have) {
		c.batch = store.Batch{}
		return nil
	}
	var err error
	if f.Repaired, err = c.repair(ctx, c.v.values); err != nil {
		return err
	}
	c.about(f)
	return nil
}

// member checks that a record that is live is listed in its collection.
func (c *fsck) member(ctx context.Context, r *checkedRecord) error {
	if !r.record.Live {
		return nil
	}
	member, record := rows.MemberKey(r.collection, c.person.ref), rows.RecordKey(c.person.ref, r.collection)
	c.batch.RequireEqual(rows.People, record, r.row)
	c.batch.RequireAbsent(rows.Members, member)
	c.batch.Put(rows.Members, member, nil)
	return c.derived(ctx, Fault{Kind: FaultMember, Field: c.collection(r.collection)}, func(have *store.Rows) bool {
		_, listed := have.Value(0)
		row, _ := have.Value(1)
		return !listed && bytes.Equal(row, r.row)
	}, store.Key{Table: rows.Members, Key: member}, store.Key{Table: rows.People, Key: record})
}

// members checks that what collections list is there.
func (c *fsck) members(ctx context.Context, snap store.Snapshot) error {
	return snap.Each(ctx, rows.Members, func(key, value []byte) error {
		ref, err := rows.ParseMemberKey(key)
		if err != nil {
			c.find(Fault{Kind: FaultRow, Detail: "a key in members"})
			return nil
		}
		collection := binary.BigEndian.Uint16(key)
		member, record := bytes.Clone(key), rows.RecordKey(ref, collection)
		var have store.Rows
		err = c.v.values.Get(ctx, []store.Key{{Table: rows.People, Key: record}, {Table: rows.Members, Key: member}}, &have)
		if err != nil {
			return err
		}
		row, there := have.Value(0)
		if there {
			if r, err := rows.ParseRecord(row); err != nil || r.Live {
				return nil // a damaged record was told already
			}
			c.batch.RequireEqual(rows.People, record, bytes.Clone(row))
		} else {
			c.batch.RequireAbsent(rows.People, record)
		}
		c.batch.Delete(rows.Members, member)
		if _, listed := have.Value(1); !listed {
			c.batch = store.Batch{}
			return nil
		}
		done, err := c.repair(ctx, c.v.values)
		if err != nil {
			return err
		}
		c.find(Fault{
			Kind: FaultMemberStale, Field: c.collection(collection), Repaired: done,
			Person: fmt.Sprintf("%x", c.v.subject.encipher(ref)),
		})
		return nil
	})
}

// loneErasures finds lines of the ledger whose person has no header.
func (c *fsck) loneErasures(ctx context.Context, snap store.Snapshot) error {
	return snap.Each(ctx, rows.Ledger, func(key, _ []byte) error {
		ref, err := rows.ParseRef(key)
		if err != nil {
			c.find(Fault{Kind: FaultRow, Detail: "a key in the ledger"})
			return nil
		}
		var have store.Rows
		if err := c.v.values.Get(ctx, []store.Key{{Table: rows.People, Key: rows.HeaderKey(ref)}}, &have); err != nil {
			return err
		}
		if _, ok := have.Value(0); !ok {
			c.find(Fault{Kind: FaultHeader, Person: fmt.Sprintf("%x", c.v.subject.encipher(ref)), Detail: "the ledger knows of the person"})
		}
		return nil
	})
}

// loneKeys counts persons' keys, and finds those without a person. While the
// vault is served there are some for a time: they are made ahead of need.
func (c *fsck) loneKeys(ctx context.Context, _ store.Snapshot) error {
	from := []byte{0}
	for {
		page, err := c.v.keys.Scan(ctx, rows.Subjects, from, nil, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		from = store.Next(page[len(page)-1].Key)
		c.report.Keys += uint64(len(page))
		if !c.alone {
			continue
		}
		pairs := make([]store.Key, len(page))
		for i, r := range page {
			ref, err := rows.ParseRef(r.Key)
			if err != nil {
				return err
			}
			pairs[i] = store.Key{Table: rows.People, Key: rows.HeaderKey(ref)}
		}
		var have store.Rows
		if err := c.v.values.Get(ctx, pairs, &have); err != nil {
			return err
		}
		for i, r := range page {
			if _, ok := have.Value(i); ok {
				continue
			}
			if err := c.loneKey(ctx, r); err != nil {
				return err
			}
		}
	}
}

func (c *fsck) loneKey(ctx context.Context, r store.Row) error {
	ref, err := rows.ParseRef(r.Key)
	if err != nil {
		return err
	}
	// A header that is missing has other rows of its person beside it: then the
	// key is what still opens them.
	from, to := rows.PersonRange(ref)
	left, err := c.v.values.Scan(ctx, rows.People, from, to, 1)
	if err != nil || len(left) > 0 {
		return err
	}
	c.batch.RequireEqual(rows.Subjects, r.Key, r.Value)
	c.batch.Delete(rows.Subjects, r.Key)
	done, err := c.repair(ctx, c.v.keys)
	if err != nil {
		return err
	}
	c.find(Fault{Kind: FaultKeySpare, Person: fmt.Sprintf("%x", c.v.subject.encipher(ref)), Repaired: done})
	return nil
}
