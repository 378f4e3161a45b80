package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// relookPage is how many persons are moved in one batch at most.
const relookPage = 256

// errNotInForce: the Ring has a rotation that the state in force does not know.
var errNotInForce = errors.New("the rotation of the lookup key is not in force yet")

// rebuildLookupVersion moves every person to the primary version of the lookup
// key: each person's id is opened, hashed anew, and the row under an older
// version deleted in the batch that writes the new one. It may run while the
// vault serves and be ended at any point; the next call goes on where the last
// one was durable. progress is told how many persons of how many it has looked
// at; it may wait, which slows the work down, and nil is told nothing. When no
// rotation is under way nothing is done.
//
// The rotation must be in force: the Ring saved, and the control row raised, so
// that no writer who knows the older version alone can commit any more. Until
// the end a look-up asks under both versions; what it cannot do is ask under one
// that was disabled, and then an id that is not found is an error and no answer.
// From the end on, etags and remembered requests of older versions are void: a
// repeated request is carried out again, and a caller with an older etag is told
// that it does not match. Rows under a version that was disabled before its
// persons were moved stay, and can be read by nobody.
//
// Nothing is opened but ids. The rows are scattered and cannot be counted; that
// none is left under an older version follows from the order: the walk begins
// after the last of them was written, takes every person with a key, and ends
// only when each was moved or is gone.
func (v *Vault) rebuildLookupVersion(ctx context.Context, progress func(done, total uint64)) error {
	for {
		again, err := v.relook(ctx, progress)
		if err != nil || !again {
			return err
		}
	}
}

// relook is one walk. It reports true when it must begin anew: the key was
// rotated meanwhile, or somebody else walks too.
func (v *Vault) relook(ctx context.Context, progress func(done, total uint64)) (again bool, err error) {
	st, err := v.reload(ctx)
	if err != nil {
		return false, err
	}
	f, err := v.finder(st.keys)
	if err != nil {
		return false, err
	}
	if now, err := v.finder(v.ring.Snapshot()); err != nil || now.primary() != f.primary() {
		return false, errors.Join(err, errNotInForce)
	}
	at, row, err := v.readRelook(ctx)
	if err != nil {
		return false, err
	}
	if at.Settled == f.primary() && at.Target == f.primary() {
		v.lookups.settled.Store(uint32(at.Settled)) // or another node came to the end
		return false, nil
	}
	w := &relooker{v: v, f: f, at: at, row: row, size: relookPage}
	if at.Target != f.primary() {
		w.at.Target, w.at.Next = f.primary(), 0
	}
	done, total, err := v.countSubjects(ctx, w.at.Next)
	if err != nil {
		return false, err
	}
	for {
		page, err := v.keys.Scan(ctx, rows.Subjects, rows.RefKey(w.at.Next), nil, w.size)
		if err != nil {
			return false, err
		}
		if len(page) == 0 {
			err := w.end(ctx)
			return isConflict(err), passConflict(err)
		}
		if now, err := v.finder(v.ring.Snapshot()); err != nil || !now.same(f) {
			return err == nil, err
		}
		moved, err := w.move(ctx, page)
		if err != nil {
			return false, err
		}
		if !moved {
			_, now, err := v.readRelook(ctx)
			if err != nil || !bytes.Equal(now, w.row) {
				return err == nil, err // another node moves them as well
			}
			continue
		}
		if done += uint64(len(page)); progress != nil {
			progress(done, max(done, total))
		}
	}
}

// passConflict leaves a conflict out, which whoever asks answers by itself.
func passConflict(err error) error {
	if isConflict(err) {
		return nil
	}
	return err
}

// countSubjects counts the persons' keys, and those before a ref.
func (v *Vault) countSubjects(ctx context.Context, before uint64) (done, total uint64, err error) {
	from := []byte{0}
	for {
		page, err := v.keys.Scan(ctx, rows.Subjects, from, nil, scanPage)
		if err != nil {
			return 0, 0, err
		}
		for _, r := range page {
			ref, err := rows.ParseRef(r.Key)
			if err != nil {
				return 0, 0, err
			}
			if total++; ref < before {
				done++
			}
		}
		if len(page) < scanPage {
			return done, total, nil
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// relooker moves persons. It belongs to one goroutine.
type relooker struct {
	v    *Vault
	f    *finder
	at   rows.Relook
	row  []byte // the stored one, nil for none
	size int    // persons of the next batch
}

// move moves the persons of a page of keys. It reports false when somebody
// changed one of them meanwhile: then a smaller page is tried.
func (w *relooker) move(ctx context.Context, page []store.Row) (bool, error) {
	refs := make([]uint64, len(page))
	for i, r := range page {
		var err error
		if refs[i], err = rows.ParseRef(r.Key); err != nil {
			return false, err
		}
	}
	ids, err := w.v.identities(ctx, refs)
	if err != nil {
		return false, err
	}
	var b store.Batch
	hashes := make([]personHash, 0, len(refs))
	who := make([]uint64, 0, len(refs))
	for i, id := range ids {
		if id.err != nil {
			if id.err.Reason != RecordNotFound { // gone, or a key made ahead of need
				return false, fmt.Errorf("a person's id does not open, and the person would be lost: %w", id.err)
			}
			continue
		}
		hash, err := w.f.person(id.subject)
		if err != nil {
			return false, err
		}
		hashes, who = append(hashes, hash), append(who, refs[i])
	}
	if err := w.plan(ctx, &b, who, hashes); err != nil {
		return false, err
	}
	next := w.at
	next.Next = refs[len(refs)-1] + 1
	switch err := w.commit(ctx, &b, next); {
	case isConflict(err) && len(refs) > 1:
		w.size = max(1, len(refs)/4)
		return false, nil
	case isConflict(err):
		return false, ctx.Err()
	case err != nil:
		return false, err
	}
	w.size = min(relookPage, 2*w.size)
	return true, nil
}

// plan adds the new rows of persons to a batch and takes the old ones away. A
// person who has neither is given a row all the same, unless erased meanwhile.
func (w *relooker) plan(ctx context.Context, b *store.Batch, who []uint64, hashes []personHash) error {
	var pairs []store.Key
	for i := range hashes {
		pairs = append(pairs, store.Key{Table: rows.People, Key: rows.HeaderKey(who[i])})
		hashes[i].each(func(h rows.Hash) { pairs = append(pairs, store.Key{Table: rows.Lookup, Key: h[:]}) })
	}
	var have store.Rows
	if err := w.v.values.Get(ctx, pairs, &have); err != nil {
		return err
	}
	at := 0
	for i := range hashes {
		own := rows.RefKey(who[i])
		header, ok := have.Value(at)
		if h, err := rows.ParseHeader(header); !ok || err != nil || h.State != rows.Active {
			at += 2 + len(hashes[i].older)
			continue // erased since the id was read
		}
		stands, there := have.Value(at + 1)
		at += 2
		moved := false
		for _, h := range hashes[i].older {
			old, ok := have.Value(at)
			at++
			if ok && bytes.Equal(old, own) {
				b.RequireEqual(rows.Lookup, h[:], old)
				b.Delete(rows.Lookup, h[:])
				moved = true
			}
		}
		if there {
			if !bytes.Equal(stands, own) {
				w.v.logger.Error("two persons have one id; the one found by it stays")
			}
			continue
		}
		if !moved { // nothing else in the batch would tell of an erasure
			b.RequireEqual(rows.People, rows.HeaderKey(who[i]), header)
		}
		b.RequireAbsent(rows.Lookup, hashes[i].primary[:])
		b.Put(rows.Lookup, hashes[i].primary[:], own)
	}
	return nil
}

// commit commits a batch together with how far the walk is.
func (w *relooker) commit(ctx context.Context, b *store.Batch, next rows.Relook) error {
	if w.row == nil {
		b.RequireAbsent(rows.Control, rows.RelookKey)
	} else {
		b.RequireEqual(rows.Control, rows.RelookKey, w.row)
	}
	row := next.Append(nil)
	b.Put(rows.Control, rows.RelookKey, row)
	if err := w.v.values.Commit(ctx, b); err != nil {
		return err
	}
	w.at, w.row = next, row
	return nil
}

// end makes the version that everybody was moved to the only one that is asked.
func (w *relooker) end(ctx context.Context) error {
	if err := w.commit(ctx, new(store.Batch), rows.Relook{Settled: w.at.Target, Target: w.at.Target}); err != nil {
		return err
	}
	w.v.lookups.settled.Store(uint32(w.at.Settled))
	return nil
}

// readRelook returns the row that says under which version persons are found.
func (v *Vault) readRelook(ctx context.Context) (rows.Relook, []byte, error) {
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.RelookKey}}, &have); err != nil {
		return rows.Relook{}, nil, err
	}
	row, ok := have.Value(0)
	if !ok {
		return rows.Relook{Settled: 1, Target: 1}, nil, nil
	}
	at, err := rows.ParseRelook(row)
	return at, bytes.Clone(row), err
}

// loadSettled learns, when the vault is opened, which versions are asked.
func (v *Vault) loadSettled(ctx context.Context) error {
	at, _, err := v.readRelook(ctx)
	if err == nil {
		v.lookups.settled.Store(uint32(at.Settled))
	}
	return err
}

// settleLookup says that every person stands under a version, after the rows
// were all written anew.
func (v *Vault) settleLookup(ctx context.Context, version uint16) error {
	at, row, err := v.readRelook(ctx)
	if err != nil || at.Settled == version && at.Target == version {
		return err
	}
	w := &relooker{v: v, at: rows.Relook{Settled: version, Target: version}, row: row}
	return w.end(ctx)
}
