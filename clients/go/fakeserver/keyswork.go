package fakeserver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// SetWork replaces all work on keys by what a test wants to see.
func (s *Server) SetWork(work ...*cloakroomv1.KeyWork) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work = work
	s.moved()
}

// moved tells watches that work has changed; the caller holds the lock.
func (r *keyring) moved() {
	close(r.workMoved)
	r.workMoved = make(chan struct{})
}

// beginWork begins work of a kind, instead of the last of it; the caller holds
// the lock.
func (r *keyring) beginWork(kind cloakroomv1.KeyWorkKind, epoch uint32, total uint64) {
	r.work = slices.DeleteFunc(r.work, func(w *cloakroomv1.KeyWork) bool { return w.GetKind() == kind })
	r.work = append(r.work, cloakroomv1.KeyWork_builder{
		Kind: kind, State: cloakroomv1.KeyWorkState_KEY_WORK_STATE_RUNNING, Step: "re-wrapping",
		Total: total, Left: total, StartTime: timestamppb.New(now()), Epoch: epoch,
	}.Build())
	r.moved()
}

// beginRewrap begins to re-wrap what can be; the caller holds the lock.
func (r *keyring) beginRewrap() {
	open, _ := r.stale()
	r.beginWork(cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP, 0, open)
}

// recount begins the re-wrap anew when there is something to do, or was; the
// caller holds the lock.
func (r *keyring) recount() {
	open, _ := r.stale()
	running := slices.ContainsFunc(r.work, func(w *cloakroomv1.KeyWork) bool {
		return w.GetKind() == cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP && w.GetState() == cloakroomv1.KeyWorkState_KEY_WORK_STATE_RUNNING
	})
	if open > 0 || running {
		r.beginRewrap()
	}
}

// workRate is how many a second all work does.
const workRate = 100

// advance does a quarter of a piece of work that runs, and what its end brings;
// the caller holds the lock.
func (r *keyring) advance(w *cloakroomv1.KeyWork) {
	left := w.GetLeft() - min(w.GetLeft(), max(w.GetTotal()/4, 1))
	w.SetLeft(left)
	w.SetDone(w.GetTotal() - left)
	w.SetRate(workRate)
	w.SetRemaining(durationpb.New(time.Duration(left) * time.Second / workRate))
	r.moved()
	if left > 0 {
		return
	}
	w.SetState(cloakroomv1.KeyWorkState_KEY_WORK_STATE_DONE)
	w.SetStep("")
	w.ClearRemaining()
	w.SetEndTime(timestamppb.New(now()))
	switch w.GetKind() {
	case cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP:
		maps.DeleteFunc(r.old, func(at heldBy, _ uint64) bool { return r.isOpen(at) })
		if _, shut := r.stale(); shut > 0 {
			w.SetProblem(fmt.Sprintf("%d value(s) stand under versions that are disabled or destroyed", shut))
		}
	case cloakroomv1.KeyWorkKind_KEY_WORK_KIND_EPOCH:
		for _, k := range r.keys {
			if k.GetKey().GetKind() == cloakroomv1.KeyKind_KEY_KIND_EPOCH {
				v := k.GetVersions()[w.GetEpoch()-1]
				v.SetState(cloakroomv1.KeyState_KEY_STATE_DESTROYED)
				v.SetCopiesExpireTime(timestamppb.New(now()))
			}
		}
	}
}

func (s keyService) WatchKeyWork(q *cloakroomv1.WatchKeyWorkRequest, stream grpc.ServerStreamingServer[cloakroomv1.WatchKeyWorkResponse]) error {
	for {
		work, running, waiting, moved := s.look()
		if err := stream.Send(cloakroomv1.WatchKeyWorkResponse_builder{Work: work}.Build()); err != nil {
			return err
		}
		switch {
		case q.GetUntilIdle() && !running && !waiting:
			return nil
		case q.GetUntilIdle() && running:
			s.proceed()
			continue
		}
		select {
		case <-moved:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// look returns all work as it stands and a channel that its next change closes.
func (s *Server) look() (work []*cloakroomv1.KeyWork, running, waiting bool, moved chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.work {
		work = append(work, proto.CloneOf(w))
		running = running || w.GetState() == cloakroomv1.KeyWorkState_KEY_WORK_STATE_RUNNING
		waiting = waiting || w.GetState() == cloakroomv1.KeyWorkState_KEY_WORK_STATE_WAITING
	}
	return work, running, waiting, s.workMoved
}

// proceed lets every piece of work that runs go on a little: work goes on while
// somebody waits for its end, so that tests see each step and none takes time.
func (s *Server) proceed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.work {
		if w.GetState() == cloakroomv1.KeyWorkState_KEY_WORK_STATE_RUNNING {
			s.advance(w)
		}
	}
}

// turn changes the state of the re-wrap from one to another.
func (s *Server) turn(from, to cloakroomv1.KeyWorkState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.work {
		if w.GetKind() == cloakroomv1.KeyWorkKind_KEY_WORK_KIND_REWRAP && w.GetState() == from {
			w.SetState(to)
			s.moved()
		}
	}
}

func (s keyService) RewrapValues(context.Context, *cloakroomv1.RewrapValuesRequest) (*cloakroomv1.RewrapValuesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginRewrap()
	return &cloakroomv1.RewrapValuesResponse{}, nil
}

func (s keyService) PauseRewrap(context.Context, *cloakroomv1.PauseRewrapRequest) (*cloakroomv1.PauseRewrapResponse, error) {
	s.turn(cloakroomv1.KeyWorkState_KEY_WORK_STATE_RUNNING, cloakroomv1.KeyWorkState_KEY_WORK_STATE_PAUSED)
	return &cloakroomv1.PauseRewrapResponse{}, nil
}

func (s keyService) ResumeRewrap(context.Context, *cloakroomv1.ResumeRewrapRequest) (*cloakroomv1.ResumeRewrapResponse, error) {
	s.turn(cloakroomv1.KeyWorkState_KEY_WORK_STATE_PAUSED, cloakroomv1.KeyWorkState_KEY_WORK_STATE_RUNNING)
	return &cloakroomv1.ResumeRewrapResponse{}, nil
}
