package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

const trustDomain = "spiffe://cloakroom.example/"

// callers get a certificate each. The policy knows all but the last.
var callers = []string{"security", "shop", "billing", "support", "shipping", "mailer", "analytics", "stranger"}

// Options say how the demo runs.
type Options struct {
	// Out receives what is shown.
	Out io.Writer
	// Logger receives what the server logs.
	Logger *slog.Logger
	// Keep leaves the vault running until the context ends.
	Keep bool
}

// Run shows the vault at work. It returns an error when something did not
// turn out as it must: a refusal that did not come, a value found on disk.
// The temporary directory is removed at the end.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "cloakroom-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{Options: o, dir: filepath.Join(dir, "vault"), begun: time.Now()}
	if err := d.start(ctx); err != nil {
		return errors.Join(err, d.stop())
	}
	if err := d.show(ctx); err != nil {
		return errors.Join(err, d.stop())
	}
	if o.Keep {
		d.sayHowToGoOn()
		<-ctx.Done()
	}
	return d.stop()
}

// demo is one run.
type demo struct {
	Options
	dir     string
	address string
	node    *daemon.Node
	end     context.CancelFunc
	served  chan error
	clients []*cloakroom.Client
	step    int
	begun   time.Time
}

// start makes the vault and serves it on loopback.
func (d *demo) start(ctx context.Context) error {
	clients := make(map[string]string, len(callers))
	for _, name := range callers {
		clients[name] = trustDomain + name
	}
	path, err := daemon.Init(ctx, daemon.InitOptions{
		Dir: d.dir, Administrator: trustDomain + "admin", Listen: "127.0.0.1:0",
		Hosts: []string{"127.0.0.1", "localhost"}, Clients: clients,
	}, d.Logger)
	if err != nil {
		return fmt.Errorf("make the vault: %w", err)
	}
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	if d.node, err = daemon.Open(ctx, c, d.Logger); err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	d.end = end
	d.served = make(chan error, 1)
	ready := make(chan net.Addr, 1)
	go func() { d.served <- d.node.Serve(run, func(a net.Addr) { ready <- a }) }()
	select {
	case a := <-ready:
		d.address = a.String()
		return nil
	case err := <-d.served:
		d.served <- nil
		return err
	}
}

// stop ends the server and closes the vault.
func (d *demo) stop() error {
	var errs []error
	for _, c := range d.clients {
		errs = append(errs, c.Close())
	}
	d.clients = nil
	if d.end != nil {
		d.end()
		errs = append(errs, <-d.served)
	}
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	return errors.Join(errs...)
}

// as connects as one of the callers, over mTLS.
func (d *demo) as(name string) (*cloakroom.Client, error) {
	certs := filepath.Join(d.dir, "certs")
	c, err := cloakroom.Dial(d.address,
		cloakroom.WithTLSFiles(filepath.Join(certs, "ca.crt"), filepath.Join(certs, name+".crt"), filepath.Join(certs, name+".key")),
		cloakroom.WithTimeout(20*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect as %s: %w", name, err)
	}
	d.clients = append(d.clients, c)
	return c, nil
}

func (d *demo) heading(format string, args ...any) {
	d.step++
	fmt.Fprintf(d.Out, "\n%d. %s\n", d.step, fmt.Sprintf(format, args...))
}

func (d *demo) line(format string, args ...any) {
	fmt.Fprintf(d.Out, "   %s\n", fmt.Sprintf(format, args...))
}
