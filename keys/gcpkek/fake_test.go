package gcpkek_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/cloakroom-vault/cloakroom/keys/gcpkek"
)

const ring = "projects/p/locations/europe-west3/keyRings/vault"

// cloud is a Cloud KMS on loopback: the calls that are used here, as the
// service documents them.
type cloud struct {
	kmspb.UnimplementedKeyManagementServiceServer
	addr string

	mu    sync.Mutex
	users map[string]*user // by token
	keys  map[string]*cryptoKey
}

// user is a caller of the service, and the trouble it has with it. The mutex
// of cloud guards it.
type user struct {
	token string
	calls []string // methods, in their order

	refuse  func(method string) error            // nil: go on
	lose    func(method string) bool             // carry it out and answer Unavailable
	tamper  func(method string, answer any)      // changes the answer
	change  func(method string, request any) any // changes the request, as a broken wire does
	arrived chan struct{}                        // not nil: hold the calls
	release chan struct{}
}

func newCloud(t testing.TB) *cloud {
	c := &cloud{users: map[string]*user{}, keys: map[string]*cryptoKey{}}
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = lis.Addr().String()
	server := grpc.NewServer(grpc.UnaryInterceptor(c.intercept))
	kmspb.RegisterKeyManagementServiceServer(server, c)
	done := make(chan error, 1)
	go func() { done <- server.Serve(lis) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *cloud) user() *user {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := &user{token: fmt.Sprintf("Bearer user-%d", len(c.users))}
	c.users[u.token] = u
	return u
}

func (c *cloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// refuse makes the service answer every call of u so; codes.OK ends it.
func (c *cloud) refuse(u *user, code codes.Code) {
	c.set(func() { u.refuse = func(string) error { return refusal(code, "user secret-name lacks a right") } })
}

func refusal(code codes.Code, text string) error { return status.Error(code, text) }

// count returns how often u called method.
func (c *cloud) count(u *user, method string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range u.calls {
		if m == method {
			n++
		}
	}
	return n
}

func (c *cloud) intercept(ctx context.Context, in any, info *grpc.UnaryServerInfo, do grpc.UnaryHandler) (any, error) {
	method := info.FullMethod[len("/google.cloud.kms.v1.KeyManagementService/"):]
	md, _ := metadata.FromIncomingContext(ctx)
	c.mu.Lock()
	var u *user
	if tokens := md.Get("authorization"); len(tokens) == 1 {
		u = c.users[tokens[0]]
	}
	if u == nil || len(md.Get("x-goog-request-params")) != 1 {
		c.mu.Unlock()
		return nil, refusal(codes.Unauthenticated, "user secret-name is not known")
	}
	u.calls = append(u.calls, method)
	arrived, release := u.arrived, u.release
	c.mu.Unlock()
	if arrived != nil {
		select {
		case arrived <- struct{}{}:
		default: // nobody counts them
		}
		select {
		case <-release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if u.refuse != nil {
		if err := u.refuse(method); status.Code(err) != codes.OK {
			return nil, err
		}
	}
	if u.change != nil {
		in = u.change(method, in)
	}
	out, err := do(ctx, in)
	if err == nil && u.tamper != nil {
		u.tamper(method, out)
	}
	if err == nil && u.lose != nil && u.lose(method) {
		return nil, refusal(codes.Unavailable, "connection reset")
	}
	return out, err
}

// token sends a user's token without TLS.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": string(t)}, nil
}
func (token) RequireTransportSecurity() bool { return false }

// access lets u call the service. Its limits of time never decide a test.
func (c *cloud) access(u *user) gcpkek.Access {
	return gcpkek.Access{
		Endpoint: c.addr, Timeout: time.Hour, MaxBackoff: time.Nanosecond,
		Client: []option.ClientOption{option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
			option.WithGRPCDialOption(grpc.WithPerRPCCredentials(token(u.token)))},
	}
}

func (c *cloud) kek(t testing.TB, u *user, name string) *gcpkek.KEK {
	t.Helper()
	return open(t, gcpkek.Options{KeyName: name, Access: c.access(u)})
}

func open(t testing.TB, o gcpkek.Options) *gcpkek.KEK {
	t.Helper()
	kek, err := gcpkek.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kek.Close(); err != nil {
			t.Error(err)
		}
	})
	return kek
}

func (c *cloud) epochs(t testing.TB, u *user, ring string) *gcpkek.Epochs {
	t.Helper()
	return openEpochs(t, gcpkek.EpochOptions{KeyRing: ring, Access: c.access(u)})
}

func openEpochs(t testing.TB, o gcpkek.EpochOptions) *gcpkek.Epochs {
	t.Helper()
	e, err := gcpkek.OpenEpochs(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}
