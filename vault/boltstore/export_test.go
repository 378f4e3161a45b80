package boltstore

import "go.etcd.io/bbolt"

// EachPending shows the sealed entries of the pending log.
func (s *Store) EachPending(fn func(sealed []byte)) error {
	return s.view(func(tx *bbolt.Tx) error {
		gens, err := pendingGens(tx)
		for _, gen := range gens {
			err = tx.Bucket(bucketPending(gen)).ForEach(func(_, v []byte) error { fn(v); return nil })
		}
		return err
	})
}

// OnStep lets fn know where a Compact is. Call it while none is under way.
func (s *Store) OnStep(fn func(name string)) { s.step = fn }

// SetCopyRows makes each step of a copy take n rows.
func (s *Store) SetCopyRows(n int) { s.stepRows = n }

// Steps are the names that OnStep sees, in order, for each file. Besides, it
// sees "reading" in each step of the copy between "created" and "caught up".
var Steps = []string{"created", "copied", "caught up", "renamed", "swapped"}
