package server_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
)

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// healthNames are what can be asked about.
func healthNames(t *testing.T) []string {
	names := map[string]bool{"": true}
	for _, m := range contractMethods(t) {
		names[string(m.Parent().FullName())] = true
	}
	var out []string
	for name := range names {
		out = append(out, name)
	}
	return out
}

func TestHealthFollowsTheLog(t *testing.T) {
	r := newRig(t)
	client := healthpb.NewHealthClient(r.as(t, stranger))
	check := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, name := range healthNames(t) {
			got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name})
			if err != nil || got.GetStatus() != want {
				t.Errorf("%q: got %s, %v, want %s", name, got.GetStatus(), err, want)
			}
		}
		list, err := client.List(t.Context(), &healthpb.HealthListRequest{})
		if err != nil || len(list.GetStatuses()) != len(healthNames(t)) {
			t.Errorf("list: %v, %v", list, err)
		}
		for name, got := range list.GetStatuses() {
			if got.GetStatus() != want {
				t.Errorf("list: %q is %s, want %s", name, got.GetStatus(), want)
			}
		}
	}
	check(serving)
	r.Log.Fail(errors.New("disk away"))
	check(notServing)
	token := "tok_" // what is asked does not matter
	_, err := cloakroomv1.NewRevealServiceClient(r.as(t, billing)).Detokenize(t.Context(), detokenize(token))
	if status.Code(err) != codes.Unavailable || reasonOf(err) != "AUDIT_UNAVAILABLE" {
		t.Errorf("a reveal meanwhile: %v", err)
	}
	r.Log.Fail(nil)
	check(serving)
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "nowhere"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
}

func TestHealthWatch(t *testing.T) {
	r := newRig(t)
	client := healthpb.NewHealthClient(r.as(t, shop))
	watch, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		got, err := watch.Recv()
		if err != nil || got.GetStatus() != want {
			t.Fatalf("got %s, %v, want %s", got.GetStatus(), err, want)
		}
	}
	next(serving)
	r.Log.Fail(errors.New("disk away"))
	next(notServing)
	r.Log.Fail(nil)
	next(serving)
	unknown, err := client.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unknown.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("unknown service: %s, %v", got.GetStatus(), err)
	}
	// A stop tells watchers and does not wait for them: this grace period would
	// outlast the test.
	r.Server.Stop(24 * time.Hour)
	next(notServing)
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
}

// TestStopLetsCallsEnd: a call that runs gets its answer, a new one does not
// come in.
func TestStopLetsCallsEnd(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "stop-1", "stop@example.org")
	conn := r.as(t, billing)
	arrived, blocked := make(chan struct{}, 1), make(chan struct{})
	r.Faults.set(fault{get: func() error {
		arrived <- struct{}{}
		<-blocked
		return nil
	}})
	type result struct {
		answer *cloakroomv1.DetokenizeResponse
		err    error
	}
	running := make(chan result, 1)
	go func() {
		answer, err := cloakroomv1.NewRevealServiceClient(conn).Detokenize(t.Context(), detokenize(token))
		running <- result{answer, err}
	}()
	<-arrived
	r.Faults.set(fault{})
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		r.Server.Stop(24 * time.Hour)
		close(stopped)
	}()
	for { // until the stop is known
		if _, err := watch.Recv(); err != nil {
			break
		}
	}
	if _, err := whoAmI(t, r.as(t, shop)); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after the stop began: %v", err)
	}
	select {
	case <-stopped:
		t.Error("the stop did not wait for the call")
	default:
	}
	close(blocked)
	if got := <-running; got.err != nil || got.answer.GetItems()[0].GetText() != "stop@example.org" {
		t.Errorf("the running call: %v, %v", got.answer, got.err)
	}
	<-stopped
}

// TestServeAfterStop: a signal may come before the listener does. That is no
// error.
func TestServeAfterStop(t *testing.T) {
	r := newRig(t)
	r.Server.Stop(0)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Server.Serve(l); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err == nil {
		t.Error("the listener was left open")
	}
}

// TestReflection is offered only when it is asked for.
func TestReflection(t *testing.T) {
	for _, on := range []bool{false, true} {
		r := newRig(t, func(o *server.Options) { o.Reflection = on })
		stream, err := reflectpb.NewServerReflectionClient(r.as(t, stranger)).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_ListServices{}})
		answer, err := stream.Recv()
		names := map[string]bool{}
		for _, s := range answer.GetListServicesResponse().GetService() {
			names[s.GetName()] = true
		}
		switch {
		case !on && status.Code(err) != codes.Unimplemented:
			t.Errorf("not configured: %v, %v", answer, err)
		case on && (err != nil || !names["cloakroom.v1.RevealService"]):
			t.Errorf("configured: %v, %v", answer, err)
		}
		if _, there := r.Server.Services()["grpc.reflection.v1.ServerReflection"]; there != on {
			t.Errorf("configured %t, registered %t", on, there)
		}
	}
}
