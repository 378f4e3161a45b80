package audit_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const sectorSize = 512

var (
	errInjected = errors.New("injected fault")
	errPower    = errors.New("the power is off")
)

// fakeDisk is a disk in memory with the habits of real ones: what was written
// and not synced is lost at a power cut, sector by sector and in any order;
// names are lost unless their folder was synced; and after a failed sync the
// unwritten sectors count as written, so that the next sync succeeds and they
// are lost all the same.
type fakeDisk struct {
	mu      sync.Mutex
	rng     *rand.Rand
	names   map[string]*inode // as the running system sees them
	stable  map[string]*inode // as they are on the disk
	changes []func(map[string]*inode)
	boot    int // counts starts of the program; calls of older ones fail
	locked  bool
	calls   []string // of the running program
	// fault is asked before each call; an error makes the call fail.
	fault func(op string, n int) error
}

// inode is a file's content.
type inode struct {
	cache      []byte // as the running system sees it
	stable     []byte // as it is on the disk
	stableSize int
	dirty      map[int]bool // sectors that differ and would be written by a sync
}

func newFakeDisk(seed uint64) *fakeDisk {
	return &fakeDisk{rng: rand.New(rand.NewPCG(seed, 1)), names: map[string]*inode{}, stable: map[string]*inode{}}
}

// start starts a program: it returns the disk as that program sees it.
func (d *fakeDisk) start() audit.Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	d.locked, d.calls, d.fault = false, nil, nil
	return program{d, d.boot}
}

// setFault sets the fault for the calls to come.
func (d *fakeDisk) setFault(fault func(op string, n int) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// callCount returns how many calls the running program has made.
func (d *fakeDisk) callCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

// kill ends the running program; what it wrote stays in the system's cache.
// The caller holds d.mu or nothing runs.
func (d *fakeDisk) kill() { d.boot++ }

// powerCut ends the running program and the system with it.
func (d *fakeDisk) powerCut() {
	d.kill()
	keep := d.rng.IntN(len(d.changes) + 1)
	for _, change := range d.changes[:keep] {
		change(d.stable)
	}
	d.changes = nil
	d.names = maps.Clone(d.stable)
	for _, i := range d.names {
		for sector := range i.dirty {
			if d.rng.IntN(2) == 0 {
				i.write(sector)
			}
		}
		if d.rng.IntN(2) == 0 {
			i.stableSize = max(i.stableSize, len(i.cache))
		}
		i.grow(i.stableSize)
		i.cache, i.dirty = append([]byte(nil), i.stable[:i.stableSize]...), map[int]bool{}
	}
}

func (i *inode) grow(size int) {
	if n := size - len(i.stable); n > 0 {
		i.stable = append(i.stable, make([]byte, n)...)
	}
}

// write puts one sector on the disk.
func (i *inode) write(sector int) {
	from, to := sector*sectorSize, min((sector+1)*sectorSize, len(i.cache))
	i.grow(to)
	copy(i.stable[from:to], i.cache[from:to])
}

// call notes a call and returns whether it fails.
func (d *fakeDisk) call(boot int, op string) error {
	if boot != d.boot {
		return errPower
	}
	d.calls = append(d.calls, op)
	if d.fault == nil {
		return nil
	}
	return d.fault(op, len(d.calls))
}

// program is the disk as one start of the program sees it.
type program struct {
	d    *fakeDisk
	boot int
}

func (p program) Lock(string) (io.Closer, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.d.locked {
		return nil, audit.ErrLocked
	}
	p.d.locked = true
	return unlock{p}, nil
}

type unlock struct{ program }

func (u unlock) Close() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	if u.boot == u.d.boot {
		u.d.locked = false
	}
	return nil
}

func (p program) List(string) ([]string, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if err := p.d.call(p.boot, "list"); err != nil {
		return nil, err
	}
	var names []string
	for path := range p.d.names {
		names = append(names, filepath.Base(path))
	}
	return names, nil
}

// change changes names, at once for the running system and on the disk later.
func (p program) change(op string, change func(map[string]*inode)) error {
	if err := p.d.call(p.boot, op); err != nil {
		return err
	}
	change(p.d.names)
	p.d.changes = append(p.d.changes, change)
	return nil
}

func (p program) Create(path string) (audit.DiskFile, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	i := &inode{dirty: map[int]bool{}}
	if err := p.change("create", func(m map[string]*inode) { m[path] = i }); err != nil {
		return nil, err
	}
	return &handle{p, i}, nil
}

func (p program) Open(path string, _ bool) (audit.DiskFile, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if err := p.d.call(p.boot, "open"); err != nil {
		return nil, err
	}
	i := p.d.names[path]
	if i == nil {
		return nil, fs.ErrNotExist
	}
	return &handle{p, i}, nil
}

func (p program) Rename(from, to string) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	return p.change("rename", func(m map[string]*inode) {
		m[to] = m[from]
		delete(m, from)
	})
}

func (p program) Remove(path string) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	return p.change("remove", func(m map[string]*inode) { delete(m, path) })
}

func (p program) SyncDir(string) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if err := p.d.call(p.boot, "syncdir"); err != nil {
		return err
	}
	p.d.stable, p.d.changes = maps.Clone(p.d.names), nil
	return nil
}

// handle is an open file.
type handle struct {
	program
	i *inode
}

func (h *handle) ReadAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.boot != h.d.boot {
		return 0, errPower
	}
	if at >= int64(len(h.i.cache)) {
		return 0, io.EOF
	}
	n := copy(b, h.i.cache[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	err := h.d.call(h.boot, "write")
	if err != nil {
		if h.boot != h.d.boot {
			return 0, err
		}
		b = b[:h.d.rng.IntN(len(b)+1)] // a short write
	}
	if end := int(at) + len(b); end > len(h.i.cache) {
		h.i.cache = append(h.i.cache, make([]byte, end-len(h.i.cache))...)
	}
	copy(h.i.cache[at:], b)
	for sector := int(at) / sectorSize; sector*sectorSize < int(at)+len(b); sector++ {
		h.i.dirty[sector] = true
	}
	return len(b), err
}

func (h *handle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.i.cache)), nil
}

func (h *handle) Allocate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call(h.boot, "allocate"); err != nil {
		return err
	}
	if n := int(size) - len(h.i.cache); n > 0 {
		h.i.cache = append(h.i.cache, make([]byte, n)...)
	}
	return nil
}

func (h *handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	err := h.d.call(h.boot, "sync")
	if err != nil && h.boot != h.d.boot {
		return err
	}
	for sector := range h.i.dirty {
		if err == nil || h.d.rng.IntN(2) == 0 {
			h.i.write(sector)
		}
	}
	h.i.dirty = map[int]bool{} // also after a failure: see fakeDisk
	if err == nil {
		h.i.stableSize = len(h.i.cache)
		h.i.grow(h.i.stableSize)
	}
	return err
}

func (h *handle) Close() error { return nil }
