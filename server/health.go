package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// healthService answers gRPC health checks from the vault's own judgement at
// the time of the check; a watch is refreshed every second.
type healthService struct {
	healthpb.UnsafeHealthServer
	vault  *vault.Vault
	status *health.Server
}

func newHealthService(v *vault.Vault) *healthService {
	h := &healthService{vault: v, status: health.NewServer()}
	h.refresh()
	return h
}

// served are the names that can be asked about; "" is the whole server.
var served = []string{
	"",
	cloakroomv1.RecordService_ServiceDesc.ServiceName,
	cloakroomv1.TokenService_ServiceDesc.ServiceName,
	cloakroomv1.RevealService_ServiceDesc.ServiceName,
	cloakroomv1.PolicyService_ServiceDesc.ServiceName,
}

func (h *healthService) refresh() {
	now := healthpb.HealthCheckResponse_SERVING
	if h.vault.Healthy() != nil {
		now = healthpb.HealthCheckResponse_NOT_SERVING
	}
	for _, name := range served {
		h.status.SetServingStatus(name, now)
	}
}

// shutdown answers NOT_SERVING from now on.
func (h *healthService) shutdown() { h.status.Shutdown() }

// Check implements the health service.
func (h *healthService) Check(ctx context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	h.refresh()
	return h.status.Check(ctx, r)
}

// List implements the health service.
func (h *healthService) List(ctx context.Context, r *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	h.refresh()
	return h.status.List(ctx, r)
}

// Watch implements the health service.
func (h *healthService) Watch(r *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				h.refresh()
			}
		}
	}()
	return h.status.Watch(r, stream)
}
