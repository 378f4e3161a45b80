package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// healthService answers gRPC health checks from the vault's own judgement at
// the time of the check. A watch looks every second, and ends with the server:
// a graceful stop would wait for it otherwise.
type healthService struct {
	healthpb.UnsafeHealthServer
	vault *vault.Vault
	every time.Duration
	down  chan struct{} // closed when the server stops
	once  sync.Once
}

func newHealthService(v *vault.Vault) *healthService {
	return &healthService{vault: v, every: time.Second, down: make(chan struct{})}
}

// served are the names that can be asked about; "" is the whole server.
var served = []string{
	"",
	cloakroomv1.RecordService_ServiceDesc.ServiceName,
	cloakroomv1.TokenService_ServiceDesc.ServiceName,
	cloakroomv1.RevealService_ServiceDesc.ServiceName,
	cloakroomv1.PolicyService_ServiceDesc.ServiceName,
	cloakroomv1.AuditService_ServiceDesc.ServiceName,
	cloakroomv1.IncidentService_ServiceDesc.ServiceName,
	cloakroomv1.KeyService_ServiceDesc.ServiceName,
}

// now is the status of everything that is served: the parts have no health of
// their own, since each needs the stores, the keys and the log.
func (h *healthService) now() healthpb.HealthCheckResponse_ServingStatus {
	select {
	case <-h.down:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
	}
	if h.vault.Healthy() != nil {
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}

// shutdown answers NOT_SERVING from now on and ends watches.
func (h *healthService) shutdown() { h.once.Do(func() { close(h.down) }) }

// Check implements the health service.
func (h *healthService) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !slices.Contains(served, r.GetService()) {
		return nil, status.Error(codes.NotFound, "no such service")
	}
	return &healthpb.HealthCheckResponse{Status: h.now()}, nil
}

// List implements the health service.
func (h *healthService) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	all := make(map[string]*healthpb.HealthCheckResponse, len(served))
	now := h.now()
	for _, name := range served {
		all[name] = &healthpb.HealthCheckResponse{Status: now}
	}
	return &healthpb.HealthListResponse{Statuses: all}, nil
}

// Watch implements the health service: the status now, and each change of it.
func (h *healthService) Watch(r *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	look := h.now
	if !slices.Contains(served, r.GetService()) {
		look = func() healthpb.HealthCheckResponse_ServingStatus { return healthpb.HealthCheckResponse_SERVICE_UNKNOWN }
	}
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		if now := look(); now != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-h.down:
			if last == healthpb.HealthCheckResponse_SERVING {
				_ = stream.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}) // the stream ends anyway
			}
			return status.Error(codes.Unavailable, "the server stops")
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-tick.C:
		}
	}
}
