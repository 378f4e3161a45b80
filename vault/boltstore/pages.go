package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// This file reads bbolt's pages without bbolt, to judge a file before bbolt
// trusts it. bbolt rebuilds the free list of a file in a goroutine of its own,
// in which a damaged page is a panic or a fault that nobody can recover, and
// a branch that points at itself is an endless descent everywhere.

const (
	pageHeader = 16
	elemSize   = 16 // of a branch and of a leaf alike
	bucketHead = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	elemIsBucket = 0x01

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)
	metaSize    = 64
	maxDepth    = 64

	// maxPage bounds a page with its overflow. bbolt splits a page that holds
	// more than four rows, whatever their length.
	maxPage = 16 * maxStored
)

// native is the byte order of bbolt's files, that of the machine.
var native = binary.NativeEndian

// boltMeta is the part of a meta page that the walk needs.
type boltMeta struct {
	pageSize              int
	root, freelist, pages uint64
	txid                  uint64
}

// readMeta returns the newest valid meta page.
func readMeta(r io.ReaderAt) (boltMeta, error) {
	best, found := boltMeta{}, false
	try := func(off int64) {
		buf := make([]byte, pageHeader+metaSize)
		if _, err := r.ReadAt(buf, off); err != nil {
			return
		}
		m, ok := parseMeta(buf)
		if ok && (!found || m.txid > best.txid) {
			best, found = m, true
		}
	}
	try(0)
	if found {
		try(int64(best.pageSize))
	} else {
		// The second meta page lies one page on, and the page size stands in
		// the first.
		for shift := 10; shift <= 24; shift++ {
			try(1 << shift)
		}
	}
	if !found {
		return best, fmt.Errorf("%w: neither meta page is valid", store.ErrCorrupt)
	}
	return best, nil
}

func parseMeta(buf []byte) (boltMeta, bool) {
	m := buf[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(m[:56])
	if native.Uint32(m) != boltMagic || native.Uint32(m[4:]) != boltVersion || native.Uint64(m[56:]) != sum.Sum64() {
		return boltMeta{}, false
	}
	parsed := boltMeta{
		pageSize: int(native.Uint32(m[8:])), root: native.Uint64(m[16:]), freelist: native.Uint64(m[32:]),
		pages: native.Uint64(m[40:]), txid: native.Uint64(m[48:]),
	}
	return parsed, parsed.pageSize >= 1<<10 && parsed.pageSize <= 1<<24
}

// page is one page with its overflow.
type page struct {
	id    uint64
	leaf  bool
	count int
	data  []byte
}

// walk visits the pages of a file and refuses what bbolt could stumble over.
type walk struct {
	r        io.ReaderAt
	pageSize int
	pages    uint64 // all page ids lie below
	leaves   bool   // read the leaves of tables too
	seen     []uint64
	bufs     [][]byte // one a depth
	depth    int
	stop     func() error // asked once a page; may be nil
}

func newWalk(r io.ReaderAt, pageSize int, pages uint64, leaves bool) *walk {
	return &walk{r: r, pageSize: pageSize, pages: pages, leaves: leaves, seen: make([]uint64, pages/64+1)}
}

func (w *walk) fault(id uint64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d: %s", store.ErrCorrupt, id, fmt.Sprintf(format, args...))
}

// mark records that a page is in use, once.
func (w *walk) mark(id uint64) error {
	if id < 2 || id >= w.pages {
		return w.fault(id, "lies outside the file's %d pages", w.pages)
	}
	if w.used(id) {
		return w.fault(id, "is referred to twice")
	}
	w.seen[id/64] |= 1 << (id % 64)
	return nil
}

func (w *walk) used(id uint64) bool { return w.seen[id/64]&(1<<(id%64)) != 0 }

// load reads a page that was marked, and marks its overflow.
func (w *walk) load(id uint64) (page, error) {
	if w.stop != nil {
		if err := w.stop(); err != nil {
			return page{}, err
		}
	}
	for len(w.bufs) <= w.depth {
		w.bufs = append(w.bufs, make([]byte, w.pageSize))
	}
	buf := w.bufs[w.depth][:w.pageSize]
	off := int64(id) * int64(w.pageSize)
	if _, err := w.r.ReadAt(buf, off); err != nil {
		return page{}, w.readFault(id, err)
	}
	flags, count, overflow := native.Uint16(buf[8:]), int(native.Uint16(buf[10:])), uint64(native.Uint32(buf[12:]))
	switch {
	case native.Uint64(buf) != id:
		return page{}, w.fault(id, "carries another number")
	case flags != flagBranch && flags != flagLeaf:
		return page{}, w.fault(id, "has flags %#x, want a branch or a leaf", flags)
	case overflow >= w.pages-id || overflow*uint64(w.pageSize) > maxPage:
		return page{}, w.fault(id, "claims %d more pages", overflow)
	}
	for more := id + 1; more <= id+overflow; more++ {
		if err := w.mark(more); err != nil {
			return page{}, err
		}
	}
	if overflow > 0 {
		whole := make([]byte, (int(overflow)+1)*w.pageSize)
		if _, err := w.r.ReadAt(whole, off); err != nil {
			return page{}, w.readFault(id, err)
		}
		buf, w.bufs[w.depth] = whole, whole
	}
	p := page{id: id, leaf: flags == flagLeaf, count: count, data: buf}
	if pageHeader+elemSize*count > len(buf) || !p.leaf && count == 0 {
		return page{}, w.fault(id, "cannot hold %d elements", count)
	}
	return p, w.layout(p)
}

func (w *walk) readFault(id uint64, err error) error {
	if errors.Is(err, io.EOF) {
		return w.fault(id, "lies past the end of the file")
	}
	return fmt.Errorf("read page %d: %w", id, err)
}

// layout checks that the keys and values of a page lie behind the element
// table without a gap, in order, and within the page, as bbolt writes them.
// It makes branch and row safe to call, and finds a changed count.
func (w *walk) layout(p page) error {
	next := uint64(pageHeader + elemSize*p.count)
	for i := range p.count {
		off := pageHeader + elemSize*i
		e := p.data[off:]
		pos, size := native.Uint32(e), uint64(native.Uint32(e[4:]))
		if p.leaf {
			if native.Uint32(e) > elemIsBucket {
				return w.fault(p.id, "element %d has flags %#x", i, native.Uint32(e))
			}
			pos, size = native.Uint32(e[4:]), uint64(native.Uint32(e[8:]))+uint64(native.Uint32(e[12:]))
		}
		if uint64(off)+uint64(pos) != next || size > uint64(len(p.data))-next {
			return w.fault(p.id, "element %d is not where it should be", i)
		}
		next += size
	}
	return nil
}

// branch returns key and child of element i of a branch page.
func (p page) branch(i int) (key []byte, child uint64) {
	off := pageHeader + elemSize*i
	e := p.data[off:]
	start := off + int(native.Uint32(e))
	return p.data[start : start+int(native.Uint32(e[4:]))], native.Uint64(e[8:])
}

// row returns key and value of element i of a leaf page.
func (p page) row(i int) (key, value []byte, bucket bool) {
	off := pageHeader + elemSize*i
	e := p.data[off:]
	start := off + int(native.Uint32(e[4:]))
	mid := start + int(native.Uint32(e[8:]))
	return p.data[start:mid], p.data[mid : mid+int(native.Uint32(e[12:]))], native.Uint32(e) == elemIsBucket
}

// inOrder reports a key that breaks the order of a page: prev < key (<= for
// the first, whose prev is the key in the parent) and key < end.
func (w *walk) inOrder(p page, i int, prev, key, end []byte) error {
	cmp := bytes.Compare(prev, key)
	if prev != nil && (cmp > 0 || cmp == 0 && i > 0) || end != nil && bytes.Compare(key, end) >= 0 {
		return w.fault(p.id, "element %d is out of order", i)
	}
	return nil
}
