package sink_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestFollowsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target := newLog(1234), &fakeTarget{}
		f := start(t, log, target, nil)
		synctest.Wait()
		if diff := cmp.Diff(upTo(0, 1234), target.indexes()); diff != "" {
			t.Errorf("what was there (-want +got):\n%s", diff)
		}
		if !slices.Equal(target.batches, []int{500, 500, 234}) {
			t.Errorf("batches of %v", target.batches)
		}
		began := time.Now()
		log.add(3)
		time.AfterFunc(100*time.Millisecond, func() { log.add(2) })
		synctest.Wait()
		if n := len(target.indexes()); n != 1234 {
			t.Errorf("%d entries before the time to gather was over", n)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if diff := cmp.Diff(upTo(0, 1239), target.indexes()); diff != "" {
			t.Errorf("what came (-want +got):\n%s", diff)
		}
		if at := target.attempts(); at[len(at)-1].Sub(began) > 500*time.Millisecond || len(at) != 4 {
			t.Errorf("the last of %d deliveries came after %v", len(at), at[len(at)-1].Sub(began))
		}
		if s := f.Stats(); s.Lag != 0 || s.Next != 1239 || s.Delivered != 1239 || s.Failures != 0 {
			t.Errorf("stats: %+v", s)
		}
		stop(t, f)
		stop(t, f)
		if target.closed != 1 {
			t.Errorf("closed %d times", target.closed)
		}
	})
}

func TestEntriesAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &fakeTarget{check: func(e sink.Entry) {
			want := numbered(int(e.Index))
			if diff := cmp.Diff(want, e.E); diff != "" {
				t.Errorf("entry %d (-want +got):\n%s", e.Index, diff)
			}
			if json := fmt.Sprintf(`{"index":%d,"request":"r%d"}`, e.Index, e.Index); string(e.JSON) != json {
				t.Errorf("entry %d: JSON %s", e.Index, e.JSON)
			}
		}}
		f := start(t, newLog(20), target, nil)
		synctest.Wait()
		stop(t, f)
		if len(target.got) != 20 {
			t.Errorf("%d entries", len(target.got))
		}
	})
}

// A target that is away is tried with growing pauses; nothing passes what it
// did not take, and the program's log has two lines.
func TestAwayThenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target, out := newLog(3), &fakeTarget{err: errAway}, &lines{}
		f := start(t, log, target, func(o *sink.Options) { o.Logger = out.logger() })
		<-time.After(10 * time.Minute)
		log.add(4)
		synctest.Wait()
		if s := f.Stats(); !s.Failing || s.Lag != 7 || s.Failures < 12 || s.Since.IsZero() {
			t.Errorf("stats: %+v", s)
		}
		at := target.attempts()
		for i := 1; i < len(at); i++ {
			whole := min(time.Second<<(i-1), time.Minute)
			if i > 7 {
				whole = time.Minute
			}
			if gap := at[i].Sub(at[i-1]); gap < whole/2 || gap > whole {
				t.Errorf("pause %d is %v, want %v to %v", i, gap, whole/2, whole)
			}
		}
		target.fail(nil)
		<-time.After(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff(upTo(0, 7), target.indexes()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if out.count("fails") != 1 || out.count("works again") != 1 {
			t.Errorf("lines: %s", out.b.String())
		}
		if s := f.Stats(); s.Failing || s.Lag != 0 || !s.Since.IsZero() {
			t.Errorf("stats: %+v", s)
		}
		// The pauses begin small again.
		before := len(target.attempts())
		target.fail(errAway)
		log.add(1)
		<-time.After(5 * time.Second)
		synctest.Wait()
		if n := len(target.attempts()) - before; n < 3 {
			t.Errorf("%d attempts in 5 s of a new failure", n)
		}
		stop(t, f)
	})
}

func TestRetryAfter(t *testing.T) {
	for name, test := range map[string]struct{ asked, least, most time.Duration }{
		"longer than the backoff":  {90 * time.Second, 90 * time.Second, 90 * time.Second},
		"shorter than the backoff": {time.Millisecond, 500 * time.Millisecond, time.Second},
		"too long":                 {100 * time.Hour, sink.MaxRetryAfter, sink.MaxRetryAfter},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := &fakeTarget{err: fmt.Errorf("wrapped: %w", &sink.RetryError{After: test.asked, Err: errAway})}
				f := start(t, newLog(1), target, nil)
				<-time.After(test.most)
				synctest.Wait()
				at := target.attempts()
				if gap := at[1].Sub(at[0]); gap < test.least || gap > test.most {
					t.Errorf("the pause is %v, want %v to %v", gap, test.least, test.most)
				}
				stop(t, f)
			})
		})
	}
}

func TestFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target := newLog(1000), &fakeTarget{}
		f := start(t, log, target, func(o *sink.Options) {
			o.Filter = func(e *audit.Entry) bool { return e.Outcome == audit.Refused }
			o.MaxEntries = 1
		})
		synctest.Wait()
		got := target.indexes()
		if len(got) != 100 || got[0] != 9 || got[99] != 999 || slices.Max(target.batches) != 1 {
			t.Errorf("%v in batches of %v", got, target.batches)
		}
		if s := f.Stats(); s.Lag != 0 || s.Delivered != 100 {
			t.Errorf("stats: %+v", s)
		}
		stop(t, f)
	})
}

func TestPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target := newLog(20), &fakeTarget{check: func(e sink.Entry) {
			if e.JSON != nil || e.E == nil {
				t.Errorf("entry %d: %s, %v", e.Index, e.JSON, e.E)
			}
		}}
		f := start(t, log, target, func(o *sink.Options) { o.Plain, o.Feed = true, sink.NewFeed(log, nil) })
		synctest.Wait()
		stop(t, f)
		if !slices.Equal(target.got, upTo(0, 20)) {
			t.Errorf("got %v", target.got)
		}
	})
}

func TestBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &fakeTarget{}
		long := func(index uint64, _ *audit.Entry) ([]byte, error) {
			if index == 2 {
				return []byte(strings.Repeat("x", 2000)), nil // more than a batch may have
			}
			return []byte(strings.Repeat("x", 400)), nil
		}
		log := newLog(8)
		f := start(t, log, target, func(o *sink.Options) { o.MaxBytes, o.Feed = 1000, sink.NewFeed(log, long) })
		synctest.Wait()
		stop(t, f)
		if want := []int{2, 1, 2, 2, 1}; !slices.Equal(target.batches, want) {
			t.Errorf("batches of %v, want %v", target.batches, want)
		}
	})
}

// What cannot be rendered is never left out.
func TestRenderFails(t *testing.T) {
	for name, bad := range map[string]func() ([]byte, error){
		"error":      func() ([]byte, error) { return nil, errAway },
		"two lines":  func() ([]byte, error) { return []byte("{\n}"), nil },
		"no content": func() ([]byte, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mended atomic.Bool
				log, target := newLog(5), &fakeTarget{}
				f := start(t, log, target, func(o *sink.Options) {
					o.Feed = sink.NewFeed(log, func(index uint64, e *audit.Entry) ([]byte, error) {
						if index == 3 && !mended.Load() {
							return bad()
						}
						return render(index, e)
					})
				})
				<-time.After(10 * time.Second)
				synctest.Wait()
				if got := target.indexes(); !slices.Equal(got, upTo(0, 3)) || !f.Stats().Failing {
					t.Errorf("before the fault: %v", got)
				}
				mended.Store(true)
				<-time.After(time.Minute)
				synctest.Wait()
				if got := target.indexes(); !slices.Equal(got, upTo(0, 5)) {
					t.Errorf("after: %v", got)
				}
				stop(t, f)
			})
		})
	}
}

func TestLogFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, target, out := newLog(5), &fakeTarget{}, &lines{}
		log.fail(errors.New("a broken disk"))
		f := start(t, log, target, func(o *sink.Options) { o.Logger = out.logger() })
		<-time.After(time.Minute)
		log.fail(nil)
		<-time.After(time.Minute)
		synctest.Wait()
		if got := target.indexes(); !slices.Equal(got, upTo(0, 5)) {
			t.Errorf("got %v", got)
		}
		if out.count("a broken disk") != 1 || out.count("works again") != 1 {
			t.Errorf("lines: %s", out.b.String())
		}
		stop(t, f)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
