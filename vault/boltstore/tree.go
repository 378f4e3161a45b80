package boltstore

import (
	"fmt"
	"io"
	"os"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// verify judges a file before bbolt maps it. The branch pages of every tree,
// about one page in a hundred, are always read, so that no descent can run in
// circles; a free list must not name a page that is in use. When the file
// holds no free list (it was not closed cleanly), bbolt is going to read every
// page to rebuild it, and so does verify. It reports whether there is a list.
func verify(f *os.File) (listed bool, err error) {
	size, err := fileSize(f)
	if err != nil {
		return false, err
	}
	m, err := readMeta(f)
	if err != nil {
		return false, err
	}
	if m.pages < 3 || uint64(size)/uint64(m.pageSize) < m.pages {
		return false, fmt.Errorf("%w: the file is shorter than its header says", store.ErrCorrupt)
	}
	listed = m.freelist != noFreelist
	w := newWalk(f, m.pageSize, m.pages, !listed)
	if err := w.file(m.root); err != nil || !listed {
		return false, err
	}
	return true, w.freelist(m.freelist)
}

// file walks the tree of buckets from its root page.
func (w *walk) file(root uint64) error {
	return w.tree(root, true, func(p page, i int, key, value []byte, bucket bool) error {
		if !bucket {
			return w.fault(p.id, "element %d of the root is no bucket", i)
		}
		return w.bucket(p, i, value)
	})
}

// bucket walks one bucket, whose header is the value of its element.
func (w *walk) bucket(p page, i int, head []byte) error {
	if len(head) < bucketHead {
		return w.fault(p.id, "element %d is too short for a bucket", i)
	}
	row := func(p page, i int, key, value []byte, bucket bool) error {
		if bucket || len(value) > maxStored {
			return w.fault(p.id, "element %d is no row", i)
		}
		return nil
	}
	if root := native.Uint64(head); root != 0 {
		return w.tree(root, w.leaves, row)
	}
	inline := page{id: p.id, leaf: true, data: head[bucketHead:]}
	if len(inline.data) < pageHeader || native.Uint16(inline.data[8:]) != flagLeaf {
		return w.fault(p.id, "element %d holds a broken bucket", i)
	}
	inline.count = int(native.Uint16(inline.data[10:]))
	if pageHeader+elemSize*inline.count > len(inline.data) {
		return w.fault(p.id, "element %d holds a broken bucket", i)
	}
	if err := w.layout(inline); err != nil {
		return err
	}
	return w.elements(inline, nil, nil, row)
}

type visit func(p page, i int, key, value []byte, bucket bool) error

// tree walks one B+tree. Without leaves it reads only one leaf, the first, to
// learn how deep the tree is.
func (w *walk) tree(root uint64, leaves bool, fn visit) error {
	height := 0 // levels below the root
	if !leaves {
		var err error
		if height, err = w.height(root); err != nil {
			return err
		}
	}
	if err := w.mark(root); err != nil {
		return err
	}
	return w.descend(root, height, leaves, nil, nil, fn)
}

// height follows the first child of each level down to a leaf.
func (w *walk) height(id uint64) (int, error) {
	var head [pageHeader + elemSize]byte
	for height := range maxDepth {
		if id < 2 || id >= w.pages {
			return 0, w.fault(id, "lies outside the file's %d pages", w.pages)
		}
		if _, err := w.r.ReadAt(head[:], int64(id)*int64(w.pageSize)); err != nil {
			return 0, w.readFault(id, err)
		}
		if native.Uint16(head[8:]) != flagBranch {
			return height, nil
		}
		id = native.Uint64(head[pageHeader+8:])
	}
	return 0, w.fault(id, "lies too deep")
}

func (w *walk) descend(id uint64, height int, leaves bool, from, to []byte, fn visit) error {
	if !leaves && height == 0 {
		return nil
	}
	if w.depth++; w.depth > 2*maxDepth {
		return w.fault(id, "lies too deep")
	}
	defer func() { w.depth-- }()
	p, err := w.load(id)
	if err != nil {
		return err
	}
	if p.leaf {
		if !leaves {
			return w.fault(id, "is a leaf, want a branch")
		}
		return w.elements(p, from, to, fn)
	}
	prev := from
	for i := range p.count {
		key, child := p.branch(i)
		if err := w.inOrder(p, i, prev, key, to); err != nil {
			return err
		}
		end := to
		if i+1 < p.count {
			end, _ = p.branch(i + 1)
		}
		if err := w.mark(child); err != nil {
			return err
		}
		if err := w.descend(child, height-1, leaves, key, end, fn); err != nil {
			return err
		}
		prev = key
	}
	return nil
}

func (w *walk) elements(p page, from, to []byte, fn visit) error {
	prev := from
	for i := range p.count {
		key, value, bucket := p.row(i)
		if err := w.inOrder(p, i, prev, key, to); err != nil {
			return err
		}
		if err := fn(p, i, key, value, bucket); err != nil {
			return err
		}
		prev = key
	}
	return nil
}

// freelist checks the list of free pages against the pages seen in use.
func (w *walk) freelist(id uint64) error {
	if err := w.mark(id); err != nil {
		return err
	}
	head := make([]byte, pageHeader+8)
	off := int64(id) * int64(w.pageSize)
	if _, err := w.r.ReadAt(head, off); err != nil {
		return w.readFault(id, err)
	}
	if native.Uint64(head) != id || native.Uint16(head[8:]) != flagFreelist {
		return w.fault(id, "is no free list")
	}
	off += pageHeader
	count, room := uint64(native.Uint16(head[10:])), (uint64(native.Uint32(head[12:]))+1)*uint64(w.pageSize)
	if count == 0xFFFF { // the count did not fit and stands before the list
		count, off = native.Uint64(head[pageHeader:]), off+8
	}
	if count > w.pages || count*8+pageHeader > room {
		return w.fault(id, "cannot hold %d free pages", count)
	}
	list := make([]byte, count*8)
	if _, err := io.ReadFull(io.NewSectionReader(w.r, off, int64(len(list))), list); err != nil {
		return w.readFault(id, io.EOF)
	}
	prev := uint64(1)
	for i := range count {
		free := native.Uint64(list[8*i:])
		if free <= prev || free >= w.pages || w.used(free) {
			return w.fault(id, "entry %d names a page that is not free", i)
		}
		prev = free
	}
	return nil
}
