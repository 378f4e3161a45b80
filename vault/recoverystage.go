package vault

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// stagedKeys is a keys.Storage in which changes are made and tried without
// being stored, and from which all of them are stored in one step. It belongs
// to one goroutine.
type stagedKeys struct {
	under keys.Storage
	base  map[string][]byte // as stored
	now   map[string][]byte
}

var _ keys.Storage = (*stagedKeys)(nil)

// stageKeys begins with what is stored.
func stageKeys(ctx context.Context, under keys.Storage) (*stagedKeys, error) {
	s := &stagedKeys{under: under}
	var err error
	if s.base, err = s.stored(ctx); err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	s.now = maps.Clone(s.base)
	return s, nil
}

func (s *stagedKeys) stored(ctx context.Context) (map[string][]byte, error) {
	all, err := s.under.Load(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]byte, len(all))
	for _, row := range all {
		out[row.Name] = row.Blob
	}
	return out, nil
}

// copy returns a stage of its own, whose changes are for nobody else.
func (s *stagedKeys) copy() *stagedKeys {
	return &stagedKeys{under: s.under, base: s.base, now: maps.Clone(s.now)}
}

// Load implements keys.Storage.
func (s *stagedKeys) Load(ctx context.Context) ([]keys.Row, error) {
	out := make([]keys.Row, 0, len(s.now))
	for _, name := range slices.Sorted(maps.Keys(s.now)) {
		out = append(out, keys.Row{Name: name, Blob: bytes.Clone(s.now[name])})
	}
	return out, ctx.Err()
}

// Save implements keys.Storage, but for being durable.
func (s *stagedKeys) Save(ctx context.Context, create []keys.Row, replace []keys.Replace) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	next := maps.Clone(s.now)
	for _, row := range create {
		if _, there := next[row.Name]; there {
			return keys.ErrConflict
		}
		next[row.Name] = bytes.Clone(row.Blob)
	}
	for _, r := range replace {
		if have, there := next[r.Name]; !there || !bytes.Equal(have, r.Old) {
			return keys.ErrConflict
		}
		next[r.Name] = bytes.Clone(r.New)
	}
	s.now = next
	return nil
}

// flush stores everything in one step, and reads it back: what is stored is
// what was tried. keys.ErrConflict when a row that is changed is no longer what
// it was, and nothing was stored.
func (s *stagedKeys) flush(ctx context.Context) error {
	var create []keys.Row
	var replace []keys.Replace
	for _, name := range slices.Sorted(maps.Keys(s.now)) {
		old, there := s.base[name]
		switch blob := s.now[name]; {
		case !there:
			create = append(create, keys.Row{Name: name, Blob: blob})
		case !bytes.Equal(old, blob):
			replace = append(replace, keys.Replace{Name: name, Old: old, New: blob})
		}
	}
	if err := s.under.Save(ctx, create, replace); err != nil {
		return fmt.Errorf("saving keys: %w", err)
	}
	stored, err := s.stored(ctx)
	if err != nil {
		return fmt.Errorf("reading the keys back: %w", err)
	}
	for _, r := range replace {
		create = append(create, keys.Row{Name: r.Name, Blob: r.New})
	}
	for _, row := range create {
		if !bytes.Equal(stored[row.Name], row.Blob) {
			return fmt.Errorf("%w: row %q is not what was saved", keys.ErrConflict, row.Name)
		}
	}
	return nil
}
