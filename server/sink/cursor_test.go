package sink_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
)

func TestBegin(t *testing.T) {
	for name, test := range map[string]struct {
		begin  sink.Begin
		want   []uint64
		missed uint64
	}{
		"at the end":   {sink.AtEnd, upTo(10, 12), 0},
		"at the first": {sink.AtFirst, upTo(4, 12), 0},
		"at 0":         {sink.AtZero, upTo(4, 12), 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, target, out := newLog(10), &fakeTarget{}, &lines{}
				log.prune(4)
				f := start(t, log, target, func(o *sink.Options) { o.Begin, o.Logger = test.begin, out.logger() })
				log.add(2)
				<-time.After(time.Second)
				synctest.Wait()
				if got := target.indexes(); !slices.Equal(got, test.want) {
					t.Errorf("got %v, want %v", got, test.want)
				}
				if s := f.Stats(); s.Missed != test.missed || s.Lag != 0 {
					t.Errorf("stats: %+v", s)
				}
				if said := out.count("missed=4"); said != int(test.missed/4) {
					t.Errorf("lines: %s", out.b.String())
				}
				stop(t, f)
			})
		})
	}
}

// Retention may remove what a sink that is away for long did not take.
func TestPrunedWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target, out := newLog(0), &fakeTarget{}, &lines{}
		cursor := filepath.Join(t.TempDir(), "siem.json")
		with := func(o *sink.Options) { o.Cursor, o.Logger = cursor, out.logger() }
		f := start(t, log, target, with)
		log.add(3)
		<-time.After(time.Second)
		stop(t, f)
		log.add(10)
		log.prune(8)
		f = start(t, log, target, with)
		synctest.Wait()
		stop(t, f)
		if want := append(upTo(0, 3), upTo(8, 13)...); !slices.Equal(target.got, want) {
			t.Errorf("got %v, want %v", target.got, want)
		}
		if out.count("missed=5") != 1 {
			t.Errorf("lines: %s", out.b.String())
		}
	})
}

// A stop loses nothing and repeats nothing, wherever it comes.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target := newLog(0), &fakeTarget{}
		cursor := filepath.Join(t.TempDir(), "siem.json")
		must(t, os.WriteFile(cursor+".new", []byte("left by a crash, and longer than a cursor: "+string(make([]byte, 1000))), 0o600))
		for i := range 20 {
			f := start(t, log, target, func(o *sink.Options) { o.Cursor, o.Begin = cursor, sink.AtEnd })
			log.add(7 * i)
			if i%2 == 0 {
				<-time.After(time.Second)
			}
			stop(t, f)
		}
		if !slices.Equal(target.got, upTo(0, log.Size())) {
			t.Errorf("%d entries delivered of %d", len(target.got), log.Size())
		}
		info, err := os.Stat(cursor)
		must(t, err)
		if info.Mode() != 0o600 {
			t.Errorf("mode %o", info.Mode())
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(cursor), "*")); len(left) != 1 {
			t.Errorf("left over: %v", left)
		}
	})
}

// A crash after a delivery and before the cursor was saved repeats entries
// with their index and id, and loses none.
func TestCrashBeforeTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target := newLog(0), &fakeTarget{}
		cursor := filepath.Join(t.TempDir(), "siem.json")
		with := func(o *sink.Options) { o.Cursor, o.Begin = cursor, sink.AtEnd }
		f := start(t, log, target, with)
		before, err := os.ReadFile(cursor)
		must(t, err)
		log.add(600)
		<-time.After(time.Second)
		stop(t, f)
		must(t, os.WriteFile(cursor, before, 0o600)) // as if it had not been saved
		log.add(1)
		ids := map[uint64][16]byte{}
		again := 0
		for i, index := range target.got {
			ids[index] = numbered(i).ID
		}
		target.check = func(e sink.Entry) {
			if id, seen := ids[e.Index]; seen {
				again++
				if id != e.E.ID {
					t.Errorf("entry %d came again with another id", e.Index)
				}
			}
		}
		f = start(t, log, target, with)
		synctest.Wait()
		stop(t, f)
		if want := append(upTo(0, 600), upTo(0, 601)...); !slices.Equal(target.got, want) || again != 600 {
			t.Errorf("%d entries, %d of them again", len(target.got), again)
		}
	})
}

// A sink that is busy for long, or begins to fail, saves its cursor: a crash
// repeats a second's work and no more.
func TestCursorIsSavedMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		taken int // batches until the target fails
		least uint64
	}{
		"busy":    {1000, 5000},
		"failing": {1, 500},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cursor := filepath.Join(t.TempDir(), "siem.json")
				target := &slow{left: test.taken, each: 100 * time.Millisecond}
				f := start(t, newLog(10_000), target, func(o *sink.Options) { o.Cursor = cursor })
				<-time.After(1750 * time.Millisecond)
				synctest.Wait()
				text, err := os.ReadFile(cursor)
				must(t, err)
				if _, index, err := sink.ParseCursor(text); err != nil || index < test.least {
					t.Errorf("the cursor is %s, want %d or more; %v", text, test.least, err)
				}
				stop(t, f)
			})
		})
	}
}

// A cursor is worth nothing with another log: all of that is delivered.
func TestAnotherLog(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		last string
	}{
		"a shorter one":       {5, "000000000000000000000000000000ff"},
		"one with other ids":  {50, "000000000000000000000000000000ff"},
		"the same (no alarm)": {50, "00000000000000000000000000000014"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cursor := filepath.Join(t.TempDir(), "siem.json")
				must(t, os.WriteFile(cursor, []byte(`{"format":1,"index":20,"last":"`+test.last+`"}`), 0o600))
				log, target, out := newLog(test.size), &fakeTarget{}, &lines{}
				f := start(t, log, target, func(o *sink.Options) { o.Cursor, o.Logger = cursor, out.logger() })
				synctest.Wait()
				stop(t, f)
				want, said := upTo(0, log.Size()), 1
				if name == "the same (no alarm)" {
					want, said = upTo(20, log.Size()), 0
				}
				if !slices.Equal(target.got, want) || out.count("begins anew") != said {
					t.Errorf("got %v\n%s", target.got, out.b.String())
				}
			})
		})
	}
}

var badCursors = map[string]string{
	"empty":              "",
	"text":               "17",
	"newer":              `{"format":2,"index":1}`,
	"no format":          `{"index":1}`,
	"unknown key":        `{"format":1,"index":1,"more":1}`,
	"negative":           `{"format":1,"index":-1}`,
	"not whole":          `{"format":1,"index":1.5}`,
	"two":                `{"format":1,"index":1}{"format":1,"index":1}`,
	"cut short":          `{"format":1,"ind`,
	"short id":           `{"format":1,"index":1,"last":"00"}`,
	"id of no digits":    `{"format":1,"index":1,"last":"zz112233445566778899aabbccddeeff"}`,
	"id before entry 0":  `{"format":1,"index":0,"last":"00112233445566778899aabbccddeeff"}`,
	"zeros":              "\x00\x00\x00\x00",
	"more than a cursor": `{"format":1,"index":1}` + string(bytes.Repeat([]byte(" "), 5000)),
}

func TestBadCursor(t *testing.T) {
	for name, text := range badCursors {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "siem.json")
			must(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := sink.Start(sink.Options{
				Name: "siem", Feed: sink.NewFeed(newLog(3), render), Target: &fakeTarget{},
				Logger: slog.New(slog.DiscardHandler), Cursor: path,
			})
			if !errors.Is(err, sink.ErrCursor) {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	feed, logger := sink.NewFeed(newLog(0), render), slog.New(slog.DiscardHandler)
	good := sink.Options{Name: "x", Feed: feed, Target: &fakeTarget{}, Logger: logger}
	for name, change := range map[string]func(*sink.Options){
		"no name":           func(o *sink.Options) { o.Name = "" },
		"no feed":           func(o *sink.Options) { o.Feed = nil },
		"no target":         func(o *sink.Options) { o.Target = nil },
		"no logger":         func(o *sink.Options) { o.Logger = nil },
		"nothing rendered":  func(o *sink.Options) { o.Feed = sink.NewFeed(newLog(0), nil) },
		"unknown begin":     func(o *sink.Options) { o.Begin = 3 },
		"too many entries":  func(o *sink.Options) { o.MaxEntries = 501 },
		"too many bytes":    func(o *sink.Options) { o.MaxBytes = 1<<20 + 1 },
		"negative linger":   func(o *sink.Options) { o.Linger = -1 },
		"backoff backwards": func(o *sink.Options) { o.MinBackoff, o.MaxBackoff = 2, 1 },
		"no cursor folder":  func(o *sink.Options) { o.Cursor = "/nonexistent/a.json" },
	} {
		o := good
		change(&o)
		if _, err := sink.Start(o); !errors.Is(err, sink.ErrOptions) && !errors.Is(err, sink.ErrCursor) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	for _, text := range badCursors {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"format":1,"index":4711,"last":"00112233445566778899aabbccddeeff"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		again, index, err := sink.ParseCursor(text)
		if err != nil {
			return
		}
		once, same, err := sink.ParseCursor(again)
		if err != nil || same != index || !bytes.Equal(once, again) {
			t.Errorf("%s does not survive being written: %v", fmt.Sprintf("%q", text), err)
		}
	})
}
