package metrics

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Calls counts gRPC calls by method and code. Its interceptors stand first, so
// that they see the code that leaves. Only methods of registered services reach
// an interceptor, so that strangers cannot make up methods. The zero value is
// ready.
type Calls struct {
	methods sync.Map // full method, string -> *perCode
}

// perCode counts by code; the last is for codes that gRPC does not define.
type perCode [codes.Unauthenticated + 2]atomic.Uint64

// Unary counts unary calls.
func (c *Calls) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	c.add(info.FullMethod, err)
	return resp, err
}

// Stream counts streams when they end.
func (c *Calls) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	err := next(srv, stream)
	c.add(info.FullMethod, err)
	return err
}

func (c *Calls) add(method string, err error) {
	counts, ok := c.methods.Load(method)
	if !ok {
		counts, _ = c.methods.LoadOrStore(method, new(perCode))
	}
	all := counts.(*perCode)
	all[min(int(code(err)), len(all)-1)].Add(1)
}

// code is the code that gRPC sends for an error of a handler: an error of a
// context has its own.
func code(err error) codes.Code {
	if err == nil {
		return codes.OK
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return status.FromContextError(err).Code()
}

func (c *Calls) collect(out chan<- prometheus.Metric) {
	c.methods.Range(func(method, counts any) bool {
		all := counts.(*perCode)
		for i := range all {
			n := all[i].Load()
			if n == 0 {
				continue
			}
			name := other
			if i < len(all)-1 {
				name = codes.Code(i).String()
			}
			out <- prometheus.MustNewConstMetric(callsDesc, prometheus.CounterValue, float64(n), strings.TrimPrefix(method.(string), "/"), name)
		}
		return true
	})
}
