package alarm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestWatcher(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		e := honey(0)
		e.Request = "secret-request"
		r.append(some(0, 1, 2), e, some(1, 3, 1))
		r.wantRaised("honey")
		got := r.raised()[0]
		want := &audit.Entry{
			ID: got.ID, Time: noon, Request: "secret-request", Principal: "mailer", Action: audit.ActionAlarm,
			Object: "honey", Outcome: audit.Allowed, Reason: "entry:1", Count: 1, Items: allowed(trap),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entry (-want +got):\n%s", diff)
		}
		r.append(repeat(3, second, 2*second, denied)...)
		stats := r.watcher.Stats()
		wantStats := alarm.Stats{Cursor: r.log.Size(), Raised: map[alarm.Rule]uint64{
			alarm.UnknownTokens: 0, alarm.Refusals: 1, alarm.ManyPersons: 0, alarm.OutOfHours: 0, alarm.Honey: 1, alarm.Corrupt: 0, alarm.Sealed: 0, alarm.KeyAway: 0, alarm.KeyDue: 0, alarm.KeyDestruction: 0}}
		if diff := cmp.Diff(wantStats, stats); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
		if !strings.Contains(r.text.String(), "level=WARN msg=alarm rule=honey principal=mailer count=1 outcome=allowed cause=1\n") {
			t.Errorf("the logger was told:\n%s", r.text)
		}
		if strings.Contains(r.text.String(), "secret") {
			t.Errorf("the logger was told what a caller made up:\n%s", r.text)
		}
		r.end()
	})
}

// Its own entries wake it, and that is all that they do.
func TestNoLoop(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.options.FromStart = true
		r.start()
		r.append(honey(0), reveal(1, refused(vault.DataCorrupt, trap)...))
		size := r.log.Size()
		r.pass(30 * day)
		if r.log.Size() != size {
			t.Errorf("the log grew from %d to %d by itself", size, r.log.Size())
		}
		if r.log.reads > 10 {
			t.Errorf("%d readings of a log at rest", r.log.reads)
		}
		r.end()
	})
}

func TestWhereItBegins(t *testing.T) {
	tests := []struct {
		name      string
		fromStart bool
		first     uint64
		want      []string
		missed    uint64
	}{
		{"at the end", false, 0, nil, 0},
		{"at the start", true, 0, []string{"honey"}, 0},
		{"at the start of what is kept", true, 1, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.append(honey(0), some(0, 1, 1))
				r.options.FromStart, r.log.first = test.fromStart, test.first
				r.start()
				r.pass(minute)
				r.wantRaised(test.want...)
				if s := r.watcher.Stats(); s.Missed != test.missed || s.Lag != 0 {
					t.Errorf("stats %+v", s)
				}
				r.end()
			})
		})
	}
}

// Between the first Open and the first Run nothing is left out.
func TestNothingIsLeftOut(t *testing.T) {
	inBubble(t, func(r *rig) {
		if _, err := alarm.Open(r.options); err != nil {
			t.Fatal(err)
		}
		r.append(honey(0))
		r.start()
		r.pass(minute)
		r.wantRaised("honey")
		r.end()
	})
}

func TestPruned(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.append(some(0, 1, 1))
		r.end()
		r.append(honey(0), honey(1), honey(2), some(3, 1, 1))
		r.log.set(func() { r.log.first = 4 })
		r.start()
		r.append(reveal(4, refused(vault.DataCorrupt, 1)...))
		r.wantRaised("corrupt")
		if s := r.watcher.Stats(); s.Missed != 3 {
			t.Errorf("%d entries missed, want 3", s.Missed)
		}
		r.end()
	})
}

func TestPrunedMeanwhile(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.append(honey(0), honey(1), some(2, 1, 1), by("b", honey(3)))
		r.options.FromStart, r.log.hidden = true, 2
		r.start()
		r.append(by("c", honey(4)))
		r.wantRaised("honey", "honey")
		if s := r.watcher.Stats(); s.Missed != 2 || s.Lag != 0 || s.Raised[alarm.Honey] != 2 {
			t.Errorf("stats %+v, want 2 missed and no lag", s)
		}
		r.end()
	})
}

// A busy log is read once a second.
func TestBusyLog(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		for range 600 {
			r.log.Append(some(0, 1, 1))
			r.pass(100 * time.Millisecond)
		}
		if r.log.reads < 50 || r.log.reads > 62 {
			t.Errorf("%d readings in a minute", r.log.reads)
		}
		if lag := r.watcher.Stats().Lag; lag > 11 {
			t.Errorf("%d entries behind", lag)
		}
		r.end()
	})
}

func TestRestartWithinASeries(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.append(unknown(0), unknown(1))
		r.end()
		r.append(unknown(2), unknown(3))
		r.wantRaised()
		r.start()
		r.pass(minute)
		r.wantRaised("unknown_tokens")
		if e := r.raised()[0]; e.Count != 3 || e.Request != "r2ns" {
			t.Errorf("count %d of request %s, want 3 of r2ns", e.Count, e.Request)
		}
		r.end()
		r.start()
		r.append(unknown(4))
		r.wantRaised("unknown_tokens") // the window is not over
		r.end()
	})
}

// After a crash between the append of an alarm and the save of the state the
// alarm is there twice, as one entry.
func TestCrashBeforeTheSave(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.append(unknown(0), unknown(1))
		r.end()
		old := r.state()
		r.start()
		r.append(unknown(2), honey(3), unknown(4))
		r.wantRaised("unknown_tokens", "honey")
		r.end()
		r.setState(old)
		r.start()
		r.pass(minute)
		r.wantRaised("unknown_tokens", "honey", "unknown_tokens", "honey")
		first, second := r.raised()[:2], r.raised()[2:]
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("told again (-first +second):\n%s", diff)
		}
		r.end()
	})
}

// No alarm is lost when the watcher is stopped before its entry is durable.
func TestStoppedBeforeDurable(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.append(some(0, 1, 1))
		r.start()
		r.end()
		r.append(some(0, 1, 1), honey(1))
		r.log.Hold()
		r.start()
		r.pass(minute)
		r.wantRaised()
		if s := r.watcher.Stats(); s.Raised[alarm.Honey] != 0 || s.Cursor != 1 {
			t.Errorf("stats %+v of an alarm that is not durable", s)
		}
		r.end()
		if got := r.savedCursor(); got != 1 {
			t.Errorf("saved at %d, past an alarm that is not durable", got)
		}
		r.log.Fail(errDisk) // what was held back is lost
		r.log.Fail(nil)
		r.log.Release()
		r.wantRaised()
		r.start()
		r.pass(minute)
		r.wantRaised("honey")
		r.end()
	})
}

func TestClosedLog(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.append(some(0, 1, 1))
		if err := r.log.Close(); err != nil {
			t.Fatal(err)
		}
		r.pass(minute)
		if err := r.stop(); !errors.Is(err, audit.ErrClosed) {
			t.Errorf("Run: %v, want ErrClosed", err)
		}
		if got := r.savedCursor(); got != 1 {
			t.Errorf("saved at %d, want 1", got)
		}
	})
}

// A busy log is saved every 5 seconds, and a quiet one is saved too.
func TestSaves(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.append(some(0, 1, 1)) // after 2 s
		if got := r.savedCursor(); got != 0 {
			t.Errorf("saved at %d already", got)
		}
		r.pass(5 * second)
		if got := r.savedCursor(); got != 1 {
			t.Errorf("saved at %d, want 1", got)
		}
		r.append(honey(0))
		if got := r.savedCursor(); got != 2 && got != 3 {
			t.Errorf("saved at %d: an alarm is saved at once", got)
		}
		r.end()
	})
}

func TestManyAlarmsAtOnce(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.options.FromStart = true
		for i := range 1000 {
			r.log.Append(by(fmt.Sprint("p", i), honey(0)))
		}
		r.start()
		r.pass(minute)
		if n := len(r.raised()); n != 1000 {
			t.Errorf("%d alarms, want 1000", n)
		}
		if r.log.reads < 4 {
			t.Errorf("%d readings: all alarms were in memory at once", r.log.reads)
		}
		r.end()
	})
}

func TestRunAgain(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.append(honey(0))
		r.end()
		r.append(by("b", honey(0)))
		r.run()
		r.pass(minute)
		r.wantRaised("honey", "honey")
		r.end()
	})
}

func TestOpen(t *testing.T) {
	inBubble(t, func(r *rig) {
		bad := func(name string, want error, change func(o *alarm.Options)) {
			o := r.options
			change(&o)
			if _, err := alarm.Open(o); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		bad("no log", alarm.ErrConfig, func(o *alarm.Options) { o.Log = nil })
		bad("no path", alarm.ErrConfig, func(o *alarm.Options) { o.Path = "" })
		bad("no thresholds", alarm.ErrConfig, func(o *alarm.Options) { o.Config = alarm.Config{} })
		bad("no folder", os.ErrNotExist, func(o *alarm.Options) { o.Path = filepath.Join(o.Path, "x", "y") })
		r.setState([]byte(`{"format":1,"cursor":`))
		bad("a torn state", alarm.ErrState, func(*alarm.Options) {})
		r.setState([]byte(`{"format":2}`))
		bad("a newer state", alarm.ErrFormat, func(*alarm.Options) {})

		r.setState([]byte(`{"format":1,"cursor":1000}`))
		r.start()
		r.append(honey(0))
		r.wantRaised("honey") // a log put back to an older state goes on being watched
		if !strings.Contains(r.text.String(), "shorter") {
			t.Errorf("the logger was told:\n%s", r.text)
		}
		r.end()
	})
}

// With a log on the disk, its own clock, and callers who write meanwhile.
func TestFileLog(t *testing.T) {
	log, err := audit.Open(filepath.Join(t.TempDir(), "audit"), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	w, err := alarm.Open(alarm.Options{Log: log, Path: filepath.Join(t.TempDir(), "alarms.json"), Config: small(), Honey: isHoney})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for i := range 200 {
		e := some(0, 1, 3)
		if i == 150 {
			e = honey(0)
		}
		log.Append(e)
	}
	if err := log.Wait(ctx, 200); err != nil { // until somebody else appends
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var last *audit.Entry
	if err := log.Read(200, func(_ uint64, raw []byte) error {
		last, err = audit.Decode(raw)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if last.Action != audit.ActionAlarm || last.Object != string(alarm.Honey) || last.Time.Equal(time.Time{}) {
		t.Errorf("%v %s, want the alarm", last.Action, last.Object)
	}
}
