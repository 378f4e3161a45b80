package alarm_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAppendFails(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.append(some(0, 1, 1))
		r.start()
		r.end()
		r.append(honey(0), by("b", honey(1)))
		r.log.Fail(errDisk)
		r.start()
		r.pass(10 * minute)
		r.wantRaised()
		s := r.watcher.Stats()
		if s.Cursor != 1 || s.Lag != 2 || s.Failures < 10 || s.Failures > 20 {
			t.Errorf("stats %+v: want the cursor before the alarms, and few attempts", s)
		}
		if n := strings.Count(r.text.String(), "looking for alarms fails"); n != 1 {
			t.Errorf("the logger was told %d times", n)
		}
		r.log.Fail(nil)
		r.pass(2 * minute)
		r.wantRaised("honey", "honey")
		if !strings.Contains(r.text.String(), "works again") {
			t.Error("the logger was not told that it works again")
		}
		if s := r.watcher.Stats(); s.Lag != 0 {
			t.Errorf("stats %+v: want no lag", s)
		}
		r.end()
	})
}

// A reading that fails in the middle is taken up where it failed, and what
// was found before is told.
func TestReadFails(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.append(some(0, 1, 1))
		r.start()
		r.end()
		r.append(by("b", honey(0)), unknown(0))
		r.log.set(func() { r.log.fail = 1 })
		r.start()
		r.wantRaised("honey") // at once, not with the next attempt
		r.pass(minute)
		r.log.set(func() { r.log.fail = 3 })
		r.append(honey(0), unknown(1), unknown(2))
		r.wantRaised("honey", "honey")
		r.pass(minute)
		r.wantRaised("honey", "honey", "unknown_tokens")
		if e := r.raised()[2]; e.Count != 3 {
			t.Errorf("count %d, want 3: an entry was told twice or not at all", e.Count)
		}
		r.end()
	})
}

// What failed long ago makes nobody wait longer now.
func TestRetriesBeginAnew(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.log.set(func() { r.log.empty = true })
		r.append(some(0, 1, 1))
		r.pass(hour)
		r.log.set(func() { r.log.empty = false })
		r.pass(2 * minute)
		r.append(some(0, 1, 1))
		r.log.set(func() { r.log.fail = 1 })
		r.append(some(0, 1, 1), honey(0))
		r.pass(2 * second)
		r.wantRaised("honey")
		r.end()
	})
}

func TestUnreadableEntry(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.log.set(func() { r.log.broken = map[uint64]bool{1: true} })
		r.append(unknown(0), unknown(1), unknown(2), unknown(3))
		r.wantRaised("unknown_tokens")
		if s := r.watcher.Stats(); s.Unreadable != 1 || s.Lag != 0 {
			t.Errorf("stats %+v", s)
		}
		r.end()
	})
}

// A log that has entries and gives none is tried again, ever more seldom.
func TestLogGivesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.log.set(func() { r.log.empty = true })
		r.append(honey(0))
		r.pass(hour)
		if r.log.reads > 70 {
			t.Errorf("%d readings in an hour", r.log.reads)
		}
		r.log.set(func() { r.log.empty = false })
		r.pass(minute)
		r.wantRaised("honey")
		r.end()
	})
}

func TestStateCannotBeSaved(t *testing.T) {
	inBubble(t, func(r *rig) {
		folder := filepath.Join(filepath.Dir(r.options.Path), "gone")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		r.options.Path = filepath.Join(folder, "alarms.json")
		r.start()
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		r.append(honey(0))
		r.pass(minute)
		r.append(unknown(0), unknown(1), unknown(2))
		r.wantRaised("honey", "unknown_tokens")
		if n, failures := strings.Count(r.text.String(), "cannot be saved"), r.watcher.Stats().Failures; n != 1 || failures < 5 || failures > 20 {
			t.Errorf("the logger was told %d times, stats %+v", n, r.watcher.Stats())
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		r.pass(minute)
		if got := r.savedCursor(); got != r.log.Size() {
			t.Errorf("saved at %d, want %d", got, r.log.Size())
		}
		r.end()
	})
}

func TestStateFile(t *testing.T) {
	inBubble(t, func(r *rig) {
		victim := filepath.Join(filepath.Dir(r.options.Path), "victim")
		if err := os.WriteFile(victim, []byte("untouched"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, r.options.Path+".new"); err != nil { // as a crash or somebody else leaves
			t.Fatal(err)
		}
		r.start()
		r.append(honey(0))
		r.end()
		info, err := os.Lstat(r.options.Path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v, want a file of 0600", info.Mode(), err)
		}
		if raw, err := os.ReadFile(victim); err != nil || !bytes.Equal(raw, []byte("untouched")) {
			t.Errorf("the state was written through a link: %v", err)
		}
		if _, err := os.Lstat(r.options.Path + ".new"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is not whole was left: %v", err)
		}
	})
}
