package keys_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

var errCut = errors.New("power cut")

// cutting is a Storage that fails at one call: before it is carried out, or
// after it, so that its answer is lost. With dead, every later call fails too,
// as of a process that ended there.
type cutting struct {
	keys.Storage
	at    int // counts down; the call that reaches 0 fails
	after bool
	dead  bool
	down  bool
	cut   bool // it came to that
}

func (c *cutting) do(call func() error) error {
	if c.down {
		return errCut
	}
	c.at--
	if c.at != 0 {
		return call()
	}
	c.cut, c.down = true, c.dead
	if c.after {
		if err := call(); err != nil {
			return err
		}
	}
	return errCut
}

func (c *cutting) Load(ctx ctx) (rows []keys.Row, err error) {
	err = c.do(func() error { rows, err = c.Storage.Load(ctx); return err })
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (c *cutting) Save(ctx ctx, create []keys.Row, replace []keys.Replace) error {
	return c.do(func() error { return c.Storage.Save(ctx, create, replace) })
}

// world is a vault's keys, and the KEKs and recovery keys around them.
type world struct {
	st       *keystest.Storage
	from, to keys.KEK
	one, two recovering
	sealed   []byte // under field/7 version 1
	output   [keys.PRFSize]byte
}

func newWorld(t *testing.T) *world {
	w := &world{
		st: keystest.NewStorage(), from: named{keystest.NewKEK(), "from"}, to: named{keystest.NewKEK(), "to"},
		one: recoveryKey(t, 1), two: recoveryKey(t, 2),
	}
	ring := create(t, w.st, w.from, field7, domain1, signer0)
	w.sealed = ring.Snapshot().Field(7).Seal(nil, []byte("value"), []byte("place"))
	w.output = must(ring.Snapshot().PRF(domain1).Compute(1, "label", nil))(t)
	must(ring.Rotate(t.Context(), field7))(t)
	must(ring.Rotate(t.Context(), field7))(t)
	check(t, ring.SetState(t.Context(), field7, 2, keys.Disabled))
	check(t, ring.SetRecovery(t.Context(), w.from, w.one.public))
	return w
}

// open opens the world by the KEK that its root names.
func (w *world) open(t *testing.T) *keys.Ring {
	t.Helper()
	kek := w.from
	if must(keys.PeekRootKEK(must(w.st.Load(t.Context()))(t)))(t) == w.to.Name() {
		kek = w.to
	}
	ring, err := keys.Open(t.Context(), w.st, kek, vaultA)
	if err != nil {
		t.Fatalf("does not open after the crash: %v", err)
	}
	return ring
}

// state says everything that operations change, but for what is random.
func state(r *keys.Ring) string {
	info, s := r.Root(), ""
	for _, id := range r.Snapshot().IDs() {
		for _, in := range r.Snapshot().Info() {
			if in.ID == id {
				s += fmt.Sprintf("%s generation %d primary %d:", id, in.Generation, in.Primary)
				for _, v := range in.Versions {
					s += fmt.Sprintf(" %d %s", v.Version, v.State)
				}
				s += "\n"
			}
		}
	}
	s += fmt.Sprintf("root %d wrapping %d by %s", info.Version, info.Wrapping, info.KEK)
	if info.Recovery != nil {
		s += fmt.Sprintf(" recovery %x", info.Recovery.Set)
	}
	return s
}

// whole wants everything that was made before to be there, and the recovery
// key that the root names to open it.
func (w *world) whole(t *testing.T, r *keys.Ring) {
	t.Helper()
	if out, err := r.Snapshot().Field(7).Open(nil, w.sealed, []byte("place")); (err != nil || string(out) != "value") && !errors.Is(err, keys.ErrDisabled) {
		t.Errorf("a value is lost: %v", err)
	}
	if out, err := r.Snapshot().PRF(domain1).Compute(1, "label", nil); err != nil || out != w.output {
		t.Errorf("an index is lost: %v", err)
	}
	if info := r.Root().Recovery; info != nil {
		key := w.one
		if info.Set == w.two.public.Set {
			key = w.two
		}
		copied := keystest.NewStorage(must(w.st.Load(t.Context()))(t)...)
		if err := keys.Recover(t.Context(), copied, vaultA, key.secret, keystest.NewKEK()); err != nil {
			t.Errorf("the recovery key does not open: %v", err)
		}
	}
}

// operations are all that change the rows of a Ring.
func operations() map[string]func(t *testing.T, r *keys.Ring, w *world) error {
	return map[string]func(t *testing.T, r *keys.Ring, w *world) error{
		"Ensure": func(t *testing.T, r *keys.Ring, _ *world) error {
			return r.Ensure(t.Context(), keys.ID{Kind: keys.KindLookup}, keys.ID{Kind: keys.KindRows})
		},
		"AddVersion": func(t *testing.T, r *keys.Ring, _ *world) error {
			_, err := r.AddVersion(t.Context(), field7)
			return err
		},
		"Promote": func(t *testing.T, r *keys.Ring, _ *world) error { return r.Promote(t.Context(), field7, 1) },
		"Rotate":  func(t *testing.T, r *keys.Ring, _ *world) error { _, err := r.Rotate(t.Context(), field7); return err },
		"Disable": func(t *testing.T, r *keys.Ring, _ *world) error {
			_, err := r.Disable(t.Context(), field7, 1)
			return err
		},
		"Disable the primary": func(t *testing.T, r *keys.Ring, _ *world) error {
			_, err := r.Disable(t.Context(), field7, 3)
			return err
		},
		"Enable": func(t *testing.T, r *keys.Ring, _ *world) error {
			return r.SetState(t.Context(), field7, 2, keys.Enabled)
		},
		"Destroy": func(t *testing.T, r *keys.Ring, _ *world) error {
			return r.SetState(t.Context(), field7, 2, keys.Destroyed)
		},
		"Rewrap":     func(t *testing.T, r *keys.Ring, w *world) error { return r.Rewrap(t.Context(), w.from, w.to) },
		"RotateRoot": func(t *testing.T, r *keys.Ring, w *world) error { return r.RotateRoot(t.Context(), w.from) },
		"SetRecovery": func(t *testing.T, r *keys.Ring, w *world) error {
			return r.SetRecovery(t.Context(), w.from, w.two.public)
		},
		"RemoveRecovery": func(t *testing.T, r *keys.Ring, _ *world) error {
			return r.RemoveRecovery(t.Context())
		},
		"Recover": func(t *testing.T, r *keys.Ring, w *world) error {
			return keys.Recover(t.Context(), keys.StorageOf(r), vaultA, w.one.secret, w.to)
		},
	}
}

// A crash at any call of the Storage leaves an operation done or as if never
// begun, on the disk; and a Ring that lives on sees it so, and goes on.
func TestCrashAtEachCall(t *testing.T) {
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			// What it looks like when nothing goes wrong.
			w := newWorld(t)
			before := state(w.open(t))
			check(t, op(t, w.open(t), w))
			after := state(w.open(t))
			if before == after {
				t.Fatal("the operation changes nothing that this test can see")
			}
			seen := map[string]int{}
			for at := 1; ; at++ {
				cut := false
				for _, late := range []bool{false, true} {
					for _, dead := range []bool{false, true} {
						w := newWorld(t)
						st := &cutting{Storage: w.st, after: late, dead: dead}
						ring, err := keys.Open(t.Context(), st, w.from, vaultA)
						check(t, err)
						st.at = at
						err = op(t, ring, w)
						cut, st.at = st.cut, 0 // what follows is not cut
						if cut && !errors.Is(err, errCut) {
							t.Fatalf("call %d, late %v: got %v, want the cut", at, late, err)
						}
						disk := w.open(t)
						now := state(disk)
						if seen[now]++; now != before && now != after {
							t.Errorf("call %d, late %v: neither done nor as if never begun:\n%s\nbefore:\n%s\nafter:\n%s", at, late, now, before, after)
						}
						if !cut && now != after {
							t.Errorf("not cut, and not done:\n%s", now)
						}
						w.whole(t, disk)
						if dead || name == "Recover" { // after which no Ring goes on
							continue
						}
						if _, err := ring.Rotate(t.Context(), domain1); err != nil {
							t.Errorf("call %d, late %v: the Ring does not go on: %v", at, late, err)
						}
						if a, b := state(ring), state(w.open(t)); a != b {
							t.Errorf("call %d, late %v: the Ring says\n%s\nand the disk\n%s", at, late, a, b)
						}
						w.whole(t, ring)
					}
				}
				if !cut {
					break
				}
			}
			if seen[before] == 0 || seen[after] == 0 {
				t.Errorf("the crashes left %d states, want both outcomes to be seen", len(seen))
			}
		})
	}
}

// The first root is there or the Storage is empty.
func TestCrashOfCreate(t *testing.T) {
	for at := 1; at <= 2; at++ {
		for _, late := range []bool{false, true} {
			st, kek := keystest.NewStorage(), keystest.NewKEK()
			if _, err := keys.Create(t.Context(), &cutting{Storage: st, at: at, after: late}, kek, vaultA); !errors.Is(err, errCut) {
				t.Fatalf("call %d: %v", at, err)
			}
			rows := must(st.Load(t.Context()))(t)
			if len(rows) == 0 {
				must(keys.Create(t.Context(), st, kek, vaultA))(t)
			} else {
				must(keys.Open(t.Context(), st, kek, vaultA))(t)
			}
		}
	}
}
