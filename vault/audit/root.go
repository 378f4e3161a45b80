package audit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// RootAt returns the RFC 6962 root of the tree over the first size entries,
// size > 0. It takes a few files of the tree that the log's folder holds, when
// they are authentic under one of the verifier keys (the text of tlog/vkeys), whether
// the log is published now or not; else it reads the entries, which takes as
// long as reading the log. ErrCorrupt when the log does not hold these
// entries, tree.ErrKey for a key that is none.
func (l *FileLog) RootAt(ctx context.Context, size uint64, verifierKeys string) ([32]byte, error) {
	keys, err := tree.NewVerifiers(verifierKeys)
	if err != nil {
		return [32]byte{}, err
	}
	if root, err := tree.NewReader(filepath.Join(l.dir, TreeDir), keys...).Root(size); err == nil {
		return root, nil
	}
	var right edge
	enough := errors.New("enough was read")
	err = l.Read(0, func(index uint64, raw []byte) error {
		if index != right.size {
			return fmt.Errorf("%w: entry %d is missing", ErrCorrupt, right.size)
		}
		right.add(tlog.RecordHash(raw))
		if right.size == size {
			return enough
		}
		return ctx.Err()
	})
	switch {
	case errors.Is(err, enough):
		return right.root(), nil
	case err == nil:
		err = fmt.Errorf("%w: entry %d is missing", ErrCorrupt, right.size)
	}
	return [32]byte{}, err
}

// edge is the right edge of a growing tree: the roots of the full subtrees
// that it is made of, the largest first.
type edge struct {
	size  uint64
	roots []tlog.Hash
}

// add adds the hash of the next entry.
func (e *edge) add(hash tlog.Hash) {
	for full := e.size; full&1 == 1; full >>= 1 {
		last := len(e.roots) - 1
		hash = tlog.NodeHash(e.roots[last], hash)
		e.roots = e.roots[:last]
	}
	e.roots = append(e.roots, hash)
	e.size++
}

// root returns the root of the tree; there must be an entry.
func (e *edge) root() tlog.Hash {
	hash := e.roots[len(e.roots)-1]
	for i := len(e.roots) - 2; i >= 0; i-- {
		hash = tlog.NodeHash(e.roots[i], hash)
	}
	return hash
}
