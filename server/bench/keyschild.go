package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// keyChild is the server process of the key bench.
type keyChild struct {
	dir     string
	node    *daemon.Node
	unserve func() // ends serving; may be called more than once

	cells   *bareCells
	persons *bareEpochs
	backups *benchBackups
	chore   *chore
}

// ServeKeys is the server process of the key bench: it makes a vault with
// subjects persons in dir, serves it on loopback, and obeys orders from in
// until it ends.
func ServeKeys(ctx context.Context, dir string, subjects, cache int, in io.Reader, out io.Writer) (err error) {
	daemon.Tune()
	c := &keyChild{dir: dir}
	defer func() { err = errors.Join(err, c.close()) }()
	set := func(c *config.Config) { c.SubjectKeyCache = cache }
	if c.node, err = prepareKeys(ctx, filepath.Join(dir, "vault"), keyPolicy(), set); err != nil {
		return err
	}
	h := hello{Certs: filepath.Join(dir, "vault", "certs"), Tokens: filepath.Join(dir, "tokens")}
	if err := fill(ctx, c.node.Vault, subjects, h.Tokens); err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	var serving sync.WaitGroup
	ready := make(chan net.Addr, 1)
	failed := make(chan error, 1)
	serving.Go(func() { failed <- c.node.Serve(run, func(a net.Addr) { ready <- a }) })
	c.unserve = func() {
		stop()
		serving.Wait()
	}
	select {
	case a := <-ready:
		h.Vault, h.Echo = a.String(), a.String() // the key bench has no use for an echo
	case err := <-failed:
		return err
	}
	return c.obey(ctx, h, in, out)
}

// prepareKeys makes a vault with a policy in dir and opens it.
func prepareKeys(ctx context.Context, dir string, policy []byte, set func(*config.Config)) (*daemon.Node, error) {
	path, err := daemon.Init(ctx, daemon.InitOptions{
		Dir: dir, Administrator: adminID, Listen: "127.0.0.1:0", Hosts: []string{"127.0.0.1"},
		Clients: map[string]string{"billing": billingID, "shop": shopID},
	}, keyLogger())
	if err != nil {
		return nil, err
	}
	c, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if set != nil {
		set(c)
	}
	node, err := daemon.Open(ctx, c, keyLogger())
	if err != nil {
		return nil, err
	}
	_, _, err = node.Vault.ApplyPolicy(ctx, vault.Caller{Principal: adminID}, vault.ApplyRequest{Document: policy})
	if err != nil {
		return nil, errors.Join(err, node.Close())
	}
	return node, nil
}

// keyLogger shows the first faults that a vault logs. A bench that has keys
// disabled and reads everything makes a lot of them, each of which costs time.
func keyLogger() *slog.Logger {
	few := &fewLines{to: os.Stderr}
	few.left.Store(10)
	return slog.New(slog.NewTextHandler(few, &slog.HandlerOptions{Level: slog.LevelError}))
}

// fewLines passes on a number of writes.
type fewLines struct {
	to   io.Writer
	left atomic.Int64
}

// Write implements io.Writer.
func (f *fewLines) Write(p []byte) (int, error) {
	if f.left.Add(-1) < 0 {
		return len(p), nil
	}
	return f.to.Write(p)
}

// close ends everything. It may be called more than once.
func (c *keyChild) close() error {
	var errs []error
	if c.chore != nil {
		errs = append(errs, c.chore.finish())
	}
	if c.unserve != nil {
		c.unserve()
	}
	if c.node != nil {
		errs = append(errs, c.node.Close())
	}
	errs = append(errs, c.cells.close(), c.persons.close())
	c.chore, c.cells, c.persons = nil, nil, nil
	return errors.Join(errs...)
}

// obey says hello and answers orders, one JSON object a line.
func (c *keyChild) obey(ctx context.Context, h hello, in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	if err := say.Encode(h); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var q keyOrder
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		a, err := c.do(ctx, q)
		if err != nil {
			a.Error = fmt.Sprintf("%s: %v", q.Do, err)
		}
		if err := say.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *keyChild) do(ctx context.Context, q keyOrder) (keyAnswer, error) {
	switch q.Do {
	case doRewrap:
		return c.rewrap(ctx, q.N, func(*vault.KeyWork, time.Time) {})
	case doBareRewrap:
		return c.bareRewrap(ctx, q.N)
	case doPersons:
		return c.morePersons(ctx, q.N)
	case doEpoch:
		return c.endEpoch(ctx, func(*vault.KeyWork, time.Time) {})
	case doBareEpoch:
		return c.bareEpoch(ctx, q.N)
	case doBackup:
		return c.backup(ctx)
	case doBareCopy:
		return c.bareCopy()
	case doRestore:
		return c.restore(ctx)
	case doBareLoad:
		return c.bareLoad(ctx)
	case doDisable:
		return c.disable(ctx)
	case doEnable:
		return c.enable(ctx, uint32(q.N))
	case doBegin:
		return keyAnswer{}, c.begin(ctx, q.What)
	case doProgress:
		return c.progress()
	case doFinish:
		return c.finish()
	}
	return keyAnswer{}, errors.New("no such order")
}

// keeper is the caller of what is done to keys.
func keeper() vault.Caller { return vault.Caller{Principal: keeperID} }

// errSeen ends a watch that saw what it waited for.
var errSeen = errors.New("seen")

// await watches the work on keys until one of a kind is done that ended after
// since. look, when not nil, sees how it stands, a few times a second.
func await(ctx context.Context, v *vault.Vault, kind vault.WorkKind, since time.Time, look func(*vault.KeyWork)) (done vault.KeyWork, err error) {
	err = v.WatchKeyWork(ctx, keeper(), false, func(all []vault.KeyWork) error {
		for i := range all {
			w := &all[i]
			if w.Kind != kind {
				continue
			}
			if look != nil {
				look(w)
			}
			if w.State == vault.WorkDone && w.Ended.After(since) {
				done = *w
				return errSeen
			}
		}
		return nil
	})
	if errors.Is(err, errSeen) {
		err = nil
	}
	return done, err
}
