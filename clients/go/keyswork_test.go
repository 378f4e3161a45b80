package cloakroom_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

func rewrapAt(state cloakroomv1.KeyWorkState, done uint64) *cloakroomv1.KeyWork {
	return cloakroomv1.KeyWork_builder{
		Kind: cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP, State: state, Total: 8, Done: done, Left: 8 - done,
	}.Build()
}

// eight stores eight persons with an e-mail address and rotates the key.
func eight(t *testing.T, client *cloakroom.Client) {
	t.Helper()
	for i := range 8 {
		_, err := client.Put(t.Context(), "customers", cloakroom.RecordInput{
			SubjectID: string(rune('a' + i)), Fields: cloakroom.Fields{"email": cloakroom.Texts("ada@example.org")},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.RotateKey(t.Context(), emailKey, ""); err != nil {
		t.Fatal(err)
	}
}

func TestWatchKeyWorkUntilIdle(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	eight(t, client)
	var got []cloakroom.KeyWork
	for work, err := range client.WatchKeyWork(t.Context(), cloakroom.UntilIdle()) {
		if err != nil || len(work) != 1 {
			t.Fatal(work, err)
		}
		got = append(got, work[0])
	}
	var want []cloakroom.KeyWork
	for done := uint64(0); done <= 8; done += 2 {
		w := cloakroom.KeyWork{Kind: cloakroom.WorkRewrap, State: cloakroom.WorkRunning, Step: "re-wrapping", Total: 8, Done: done, Left: 8 - done, StartTime: keyDay}
		if done > 0 {
			w.Rate, w.Remaining = 100, time.Duration(8-done)*time.Second/100
		}
		if done == 8 {
			w.State, w.Step, w.EndTime = cloakroom.WorkDone, "", keyDay
		}
		want = append(want, w)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.WaitForStreams()
}

// A watch that breaks is opened again, tells so, and repeats nothing.
func TestWatchKeyWorkComesBack(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	eight(t, client)
	s.Fail("WatchKeyWork", fakeserver.Unavailable(), fakeserver.Unavailable())
	broke, back, seen := 0, 0, 0
	for work, err := range client.WatchKeyWork(t.Context(), cloakroom.UntilIdle(),
		cloakroom.OnReconnect(func(error) { broke++ }), cloakroom.OnRecovery(func() { back++ })) {
		if err != nil {
			t.Fatal(work, err)
		}
		seen++
	}
	if broke != 2 || back != 1 || seen != 5 {
		t.Errorf("broke %d times, came back %d times, %d changes seen", broke, back, seen)
	}
}

// Work that waits keeps the watch open, work that was paused does not.
func TestWatchKeyWorkEndsWhenIdle(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	s.SetWork(rewrapAt(cloakroomv1.KeyWorkState_KEY_WORK_STATE_WAITING, 2))
	broke := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var states []cloakroom.KeyWorkState
	for work, err := range client.WatchKeyWork(ctx, cloakroom.UntilIdle(), cloakroom.OnReconnect(func(error) { broke++ })) {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, work[0].State)
		if len(states) == 1 {
			s.SetWork(rewrapAt(cloakroomv1.KeyWorkState_KEY_WORK_STATE_PAUSED, 4))
		}
	}
	if diff := cmp.Diff([]cloakroom.KeyWorkState{cloakroom.WorkWaiting, cloakroom.WorkPaused}, states); diff != "" || broke != 0 {
		t.Error(diff, broke)
	}
}

func TestWatchKeyWorkEnds(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	s.SetWork(rewrapAt(cloakroomv1.KeyWorkState_KEY_WORK_STATE_PAUSED, 4))

	t.Run("when the loop is left", func(t *testing.T) {
		for range client.WatchKeyWork(t.Context()) {
			break
		}
		s.WaitForStreams()
	})
	t.Run("with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for _, err := range client.WatchKeyWork(ctx) {
			cancel()
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("ended with %v", last)
		}
		s.WaitForStreams()
	})
	t.Run("when the right is lost", func(t *testing.T) {
		s.Fail("WatchKeyWork", fakeserver.Refusal(codes.PermissionDenied, "ACTION_DENIED", "no", "", ""))
		calls := 0
		for work, err := range client.WatchKeyWork(t.Context()) {
			if calls++; work != nil || !errors.Is(err, cloakroom.ErrPermissionDenied) {
				t.Errorf("%v, %v", work, err)
			}
		}
		if calls != 1 {
			t.Errorf("the error was given %d times", calls)
		}
	})
	t.Run("after some attempts", func(t *testing.T) {
		s.Fail("WatchKeyWork", fakeserver.Unavailable(), fakeserver.Unavailable(), fakeserver.Unavailable(), fakeserver.Unavailable(),
			fakeserver.Unavailable(), fakeserver.Unavailable(), fakeserver.Unavailable(), fakeserver.Unavailable())
		for work, err := range client.WatchKeyWork(t.Context()) {
			if work != nil || !errors.Is(err, cloakroom.ErrUnavailable) {
				t.Errorf("%v, %v", work, err)
			}
		}
	})
}

// A watch that is silent is looked after without a word: opened again, it says
// the same, which is not given twice.
func TestWatchKeyWorkLooksAfterSilence(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s, cloakroom.WithSilence(300*time.Millisecond))
	if _, err := client.Keys(t.Context()); err != nil { // now it is connected
		t.Fatal(err)
	}
	s.SetWork(rewrapAt(cloakroomv1.KeyWorkState_KEY_WORK_STATE_WAITING, 2))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		s.WaitForCalls("WatchKeyWork", 2)
		s.SetWork(rewrapAt(cloakroomv1.KeyWorkState_KEY_WORK_STATE_DONE, 8))
	}()
	var states []cloakroom.KeyWorkState
	for work, err := range client.WatchKeyWork(ctx, cloakroom.UntilIdle(), cloakroom.OnReconnect(func(err error) { t.Errorf("told of %v", err) })) {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, work[0].State)
	}
	if diff := cmp.Diff([]cloakroom.KeyWorkState{cloakroom.WorkWaiting, cloakroom.WorkDone}, states); diff != "" {
		t.Error(diff)
	}
}
