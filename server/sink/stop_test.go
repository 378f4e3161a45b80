package sink_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
)

func TestStop(t *testing.T) {
	t.Run("delivers what is there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log, target := newLog(0), &fakeTarget{}
			f := start(t, log, target, nil)
			synctest.Wait()
			log.add(700)
			stop(t, f)
			if n := len(target.got); n != 700 {
				t.Errorf("%d entries", n)
			}
		})
	})
	t.Run("ends a delivery that hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			target := &fakeTarget{block: true}
			f := start(t, newLog(1), target, func(o *sink.Options) { o.Attempt = time.Hour })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			began := time.Now()
			if err := f.Stop(ctx); err != nil || time.Since(began) != 3*time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			if target.closed != 1 || f.Stats().Failures != 0 {
				t.Errorf("closed %d times, %+v", target.closed, f.Stats())
			}
		})
	})
	t.Run("does not wait for a pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := start(t, newLog(1), &fakeTarget{err: errAway}, nil)
			<-time.After(5 * time.Minute)
			began := time.Now()
			stop(t, f)
			if time.Since(began) != 0 {
				t.Errorf("it took %v", time.Since(began))
			}
		})
	})
	t.Run("after the log was closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log, target := newLog(2), &fakeTarget{}
			f := start(t, log, target, nil)
			synctest.Wait()
			log.close()
			synctest.Wait()
			stop(t, f)
			if len(target.got) != 2 {
				t.Errorf("got %v", target.got)
			}
		})
	})
}

func TestDeliveryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &fakeTarget{block: true}
		f := start(t, newLog(1), target, func(o *sink.Options) { o.Attempt = 5 * time.Second })
		<-time.After(6 * time.Second)
		synctest.Wait()
		if f.Stats().Failures == 0 {
			t.Error("a delivery that hangs is not given up")
		}
		stop(t, f)
	})
}

// One warning when the cursor cannot be saved; delivery stops, since every
// batch more would come twice after a crash.
func TestCursorCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "cursors")
		must(t, os.Mkdir(dir, 0o700))
		log, target, out := newLog(0), &fakeTarget{}, &lines{}
		f := start(t, log, target, func(o *sink.Options) {
			o.Cursor, o.Logger = filepath.Join(dir, "siem.json"), out.logger()
		})
		synctest.Wait()
		must(t, os.Rename(dir, dir+".away"))
		log.add(5)
		<-time.After(10 * time.Second)
		log.add(5)
		<-time.After(10 * time.Second)
		synctest.Wait()
		if got := target.indexes(); !slices.Equal(got, upTo(0, 5)) || !f.Stats().Failing {
			t.Errorf("got %v", got)
		}
		must(t, os.Rename(dir+".away", dir))
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if got := target.indexes(); !slices.Equal(got, upTo(0, 10)) || f.Stats().Failing {
			t.Errorf("got %v", got)
		}
		if out.count("fails") != 1 || out.count("works again") != 1 {
			t.Errorf("lines: %s", out.b.String())
		}
		stop(t, f)
	})
}
