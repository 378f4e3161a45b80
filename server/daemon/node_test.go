package daemon_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const admin = "spiffe://cloakroom.example/admin"

var quiet = slog.New(slog.DiscardHandler)

// initialised makes a vault directory and reads its configuration.
func initialised(t *testing.T) *config.Config {
	t.Helper()
	path, err := daemon.Init(t.Context(), daemon.InitOptions{
		Dir: filepath.Join(t.TempDir(), "vault"), Administrator: admin, Listen: "127.0.0.1:0", Hosts: []string{"127.0.0.1"},
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpenAndClose(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := initialised(t)
	for range 2 { // what Close leaves can be opened again
		n, err := daemon.Open(t.Context(), c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.Open(t.Context(), c, quiet); !errors.Is(err, store.ErrLocked) {
			t.Errorf("a second one on the same directory: %v", err)
		}
		for range 2 {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestOpenMakesNothing: a directory that lacks something is left as it is.
func TestOpenMakesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, c := range []struct {
		name  string
		lacks []string
		want  error
	}{
		{"keys", []string{"keys.db"}, daemon.ErrIncomplete},
		{"values", []string{"values.db"}, daemon.ErrIncomplete},
		{"both", []string{"keys.db", "values.db"}, vault.ErrNotInitialised},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := initialised(t)
			for _, name := range c.lacks {
				if err := os.Remove(filepath.Join(conf.Directory, name)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := daemon.Open(t.Context(), conf, quiet); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			for _, name := range c.lacks {
				if _, err := os.Lstat(filepath.Join(conf.Directory, name)); err == nil {
					t.Errorf("%s was made", name)
				}
			}
		})
	}
}

// TestServeUntilTheContextEnds, also when it has ended before.
func TestServeUntilTheContextEnds(t *testing.T) {
	defer goleak.VerifyNone(t)
	n, err := daemon.Open(t.Context(), initialised(t), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, stop := context.WithCancel(t.Context())
	if err := n.Serve(ctx, func(a net.Addr) {
		conn, err := net.DialTimeout("tcp", a.String(), time.Minute)
		if err != nil {
			t.Errorf("it said that it listens at %s: %v", a, err)
		} else {
			_ = conn.Close()
		}
		stop()
	}); err != nil {
		t.Errorf("a stop before the first call: %v", err)
	}
}

// TestInitIsUndone when it fails half way, so that it can be tried again.
func TestInitIsUndone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	o := daemon.InitOptions{Dir: dir, Administrator: admin, Listen: "127.0.0.1:0", Hosts: []string{"127.0.0.1"},
		Clients: map[string]string{"shop": "spiffe://cloakroom.example/shop"}}
	broken := []func(*daemon.InitOptions){
		func(o *daemon.InitOptions) { o.Administrator = "" },
		func(o *daemon.InitOptions) { o.Administrator = "Ada" },
		func(o *daemon.InitOptions) { o.Listen = "nowhere" },
		func(o *daemon.InitOptions) { o.Hosts = nil },
		func(o *daemon.InitOptions) { o.Clients = map[string]string{"shop": "shop"} },
	}
	for i, spoil := range broken {
		bad := o
		spoil(&bad)
		if _, err := daemon.Init(t.Context(), bad, quiet); err == nil {
			t.Errorf("case %d was accepted", i)
		}
		if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
			t.Errorf("case %d left %s behind", i, left[0].Name())
		}
	}
	if _, err := daemon.Init(t.Context(), o, quiet); err != nil {
		t.Error(err)
	}
	if _, err := daemon.Init(t.Context(), o, quiet); err == nil {
		t.Error("a vault was made over another")
	}
}

// TestLostAuditLog: a lost log is not taken for an empty one, unless told so.
func TestLostAuditLog(t *testing.T) {
	defer goleak.VerifyNone(t)
	conf := initialised(t)
	if err := os.RemoveAll(conf.Audit.Directory); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Open(t.Context(), conf, quiet); !errors.Is(err, daemon.ErrIncomplete) {
		t.Fatalf("got %v, want ErrIncomplete", err)
	}
	if err := daemon.BeginLog(t.Context(), conf, quiet); err != nil {
		t.Fatal(err)
	}
	n, err := daemon.Open(t.Context(), conf, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
