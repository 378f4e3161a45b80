package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// One step of a copy takes so many rows, or so many bytes. It is one read
// transaction of the file that is copied, which keeps bbolt from using freed
// pages again, and one transaction in memory.
const (
	stepRows  = 20_000
	stepBytes = 8 << 20
)

// copySuffix marks the copy of a file until it takes the file's name. Only
// who holds the lock of the values file makes or removes it.
const copySuffix = ".compact"

// realPath follows links, since a rename would replace the link.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return real, err
}

// removeCopy removes what a crash left of a copy.
func removeCopy(path string) error {
	real, err := realPath(path)
	if err != nil {
		return err
	}
	if err := os.Remove(real + copySuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// createCopy makes an empty file that is locked already when it takes the
// name of another one. Its transactions are not forced to disk yet.
func createCopy(path string, fsyncs *atomic.Uint64) (*file, error) {
	f, err := openWith(path, fsyncs, func(path string, flag int, perm os.FileMode) (*os.File, bool, error) {
		h, err := lockFile(path, func() (*os.File, error) { return os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, perm) })
		return h, false, err
	})
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	f.db.NoSync, f.db.NoGrowSync = true, true
	return f, nil
}

// sync forces a copy to disk.
func (f *file) sync() error {
	if err := f.db.Sync(); err != nil {
		return fullError(err)
	}
	f.fsyncs.Add(1)
	return nil
}

// copier carries the rows of a file over to an empty one, in order, while the
// first goes on changing. Rows that change in the part that was carried over
// are carried over again.
type copier struct {
	from, to    *file
	stop        func() error
	reading     func() // told when a step has begun to read; for tests
	changes     *changes
	fill        float64 // how full pages get
	stepRows    int
	bucket, key []byte // the last row carried over; nil: none yet
	done        bool   // all rows were carried over once
	unsynced    int    // bytes since to was forced to disk
}

// step carries over what changed, and a number of further rows. It returns
// the number of changes.
func (c *copier) step() (changed int, err error) {
	noted := c.changes.take() // before from is read: see changes
	err = c.from.view(func(src *bbolt.Tx) error {
		c.reading()
		err := c.to.update(touchNothing, func(dst *bbolt.Tx) error {
			if err := c.repeat(src, dst, noted); err != nil {
				return err
			}
			return c.advance(src, dst)
		})
		if err != nil && errors.Is(err, store.ErrBroken) && !isFull(err) {
			// It is the copy that is broken, not the store; the sentinel must not
			// reach the caller.
			err = errors.New("write a copy: " + err.Error())
		}
		return fullError(err)
	})
	return noted.len(), err
}

// run carries everything over, up to little that changes meanwhile, and
// leaves it durable up to there. Transactions after it are durable.
func (c *copier) run(dir string, spare int64) error {
	next := func() (changed int, err error) {
		if err := c.stop(); err != nil {
			return 0, err
		}
		if err := room(dir, spare); err != nil {
			return 0, err
		}
		return c.step()
	}
	for !c.done {
		if _, err := next(); err != nil {
			return err
		}
		if c.unsynced >= copySync {
			if err := c.to.sync(); err != nil {
				return err
			}
			c.unsynced = 0
		}
	}
	if err := c.to.sync(); err != nil {
		return err
	}
	c.to.db.NoSync, c.to.db.NoGrowSync = false, false
	for range closeSteps {
		if changed, err := next(); err != nil || changed <= closeRows {
			return err
		}
	}
	return nil
}

// repeat carries rows over again, those that were never carried over aside.
func (c *copier) repeat(src, dst *bbolt.Tx, noted notes) error {
	for _, name := range slices.Sorted(maps.Keys(noted)) {
		cmp := bytes.Compare([]byte(name), c.bucket)
		if !c.done && cmp > 0 {
			continue
		}
		from := src.Bucket([]byte(name))
		if from == nil {
			if dst.Bucket([]byte(name)) == nil {
				continue
			}
			if err := dst.DeleteBucket([]byte(name)); err != nil {
				return err
			}
			continue
		}
		to, err := c.into(dst, []byte(name))
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(noted[name])) {
			k := []byte(key)
			if !c.done && cmp == 0 && (c.key == nil || bytes.Compare(k, c.key) > 0) {
				break
			}
			if v := from.Get(k); v != nil {
				err = to.Put(k, v)
			} else {
				err = to.Delete(k)
			}
			if err != nil {
				return err
			}
			c.unsynced += len(k)
		}
	}
	return nil
}

func (c *copier) into(dst *bbolt.Tx, name []byte) (*bbolt.Bucket, error) {
	b, err := dst.CreateBucketIfNotExists(name)
	if err != nil {
		return nil, err
	}
	b.FillPercent = c.fill
	return b, nil
}

// advance carries over the next rows.
func (c *copier) advance(src, dst *bbolt.Tx) error {
	if c.done {
		return nil
	}
	rows, size := 0, 0
	root := src.Cursor()
	name, _ := root.Seek(c.bucket)
	for ; name != nil; name, _ = root.Next() {
		if !bytes.Equal(name, c.bucket) {
			c.bucket, c.key = bytes.Clone(name), nil
		}
		from := src.Bucket(name)
		if from == nil {
			return fmt.Errorf("%w: a value in place of a bucket", store.ErrCorrupt)
		}
		to, err := c.into(dst, name)
		if err != nil {
			return err
		}
		at := from.Cursor()
		k, v := at.Seek(c.key)
		if c.key != nil && bytes.Equal(k, c.key) {
			k, v = at.Next()
		}
		var last []byte
		for ; k != nil && rows < c.stepRows && size < stepBytes; k, v = at.Next() {
			if v == nil {
				return fmt.Errorf("%w: a bucket in place of a value", store.ErrCorrupt)
			}
			if err := to.Put(k, v); err != nil { // v is read when dst commits, before src ends
				return err
			}
			last = k
			rows++
			size += len(k) + len(v)
		}
		if last != nil {
			c.key = bytes.Clone(last)
		}
		if k != nil {
			break
		}
	}
	c.done = name == nil
	c.unsynced += size
	return nil
}
