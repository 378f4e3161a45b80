package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/metrics"
	"github.com/cloakroom-vault/cloakroom/server/tlsfiles"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A Node is an open vault directory with its server, ready to Serve.
type Node struct {
	Vault  *vault.Vault
	Values store.Store
	Keys   store.Store
	Log    *audit.FileLog
	// MetricsAddress is where metrics are served; nil when they are not.
	MetricsAddress net.Addr

	config    *config.Config
	logger    *slog.Logger
	providers *providers
	server    *server.Server
	wrapLog   func(*audit.FileLog) audit.Log
	alarms    *alarm.Watcher
	sinks     []metrics.Sink
	index     store.Store
	opened    chan struct{} // closed when Vault is set
	// closers run last-in first-out.
	closers []func() error
}

// Open opens everything that a configuration names. A second process on the
// same directory gets store.ErrLocked; a directory that was never initialised
// vault.ErrNotInitialised; one that lost a store or the audit log
// ErrIncomplete. It makes neither, so that a lost one is not taken for an empty
// one (see BeginLog).
func Open(ctx context.Context, c *config.Config, logger *slog.Logger, options ...Option) (*Node, error) {
	n := newNode(c, logger)
	for _, o := range options {
		o(n)
	}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func newNode(c *config.Config, logger *slog.Logger) *Node {
	return &Node{config: c, logger: logger, providers: newProviders(), opened: make(chan struct{}), wrapLog: func(l *audit.FileLog) audit.Log { return l }}
}

// An Option changes how a directory is opened.
type Option func(*Node)

// WrapLog puts something between the vault and its audit log, to measure what
// the log costs. The wrapper must pass everything on that it does not measure.
func WrapLog(wrap func(*audit.FileLog) audit.Log) Option {
	return func(n *Node) { n.wrapLog = wrap }
}

func (n *Node) open(ctx context.Context) error {
	if err := n.finishRestore(); err != nil {
		return err
	}
	if err := n.complete(); err != nil {
		return err
	}
	parts, err := n.parts(ctx)
	if err != nil {
		return err
	}
	if n.Log, err = audit.Open(n.config.Audit.Directory, audit.Options{}); err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	n.closing(n.Log.Close)
	if s := n.Log.Stats(); s.Torn {
		n.logger.Warn("the audit log ended in an interrupted write, which was never acknowledged; it was left out")
	}
	parts.Log = n.wrapLog(n.Log)
	if parts.Index, err = n.openIndex(); err != nil {
		return err
	}
	if err := n.openVault(ctx, parts); err != nil {
		return err
	}
	if err := n.publish(ctx); err != nil {
		return err
	}
	if err := n.control(ctx); err != nil {
		return err
	}
	n.keepBackups(ctx)
	if err := n.follow(ctx); err != nil {
		return err
	}
	files, err := tlsfiles.Open(n.config.TLS.Certificate, n.config.TLS.Key, n.config.TLS.ClientCA, n.logger)
	if err != nil {
		return err
	}
	o := server.Options{TLS: files.ServerConfig(), Reflection: n.config.Reflection, Logger: n.logger}
	if n.config.Metrics != nil {
		if err := n.serveMetrics(ctx, &o); err != nil {
			return fmt.Errorf("serve metrics: %w", err)
		}
	}
	if n.server, err = server.New(n.Vault, o); err != nil {
		return err
	}
	n.closing(func() error { // also a server that never served keeps goroutines
		n.server.Stop(0)
		return nil
	})
	return nil
}

// openVault opens the vault until the node is closed.
func (n *Node) openVault(ctx context.Context, parts vault.Options) (err error) {
	if n.Vault, err = vault.Open(ctx, parts); err != nil {
		return err
	}
	close(n.opened)
	n.closing(n.Vault.Close)
	return nil
}

// Names of the stores in the data directory.
const (
	keysName   = "keys.db"
	valuesName = "values.db"
)

// complete looks for both stores and the audit log, and for a restore that did
// not come to its end.
func (n *Node) complete() error {
	if err := n.unfinished(); err != nil {
		return err
	}
	if err := n.stored(); err != nil {
		return err
	}
	return n.logged()
}

// stored looks for both stores.
func (n *Node) stored() error {
	var missing []string
	for _, name := range []string{keysName, valuesName} {
		there, err := exists(filepath.Join(n.config.Directory, name))
		if err != nil {
			return err
		}
		if !there {
			missing = append(missing, name)
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %s is missing", ErrIncomplete, filepath.Join(n.config.Directory, missing[0]))
	}
	return fmt.Errorf("%w: %s", vault.ErrNotInitialised, n.config.Directory)
}

// logged looks for the audit log.
func (n *Node) logged() error {
	segments, err := filepath.Glob(filepath.Join(n.config.Audit.Directory, "*.wal"))
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return fmt.Errorf("%w: no audit log in %s", ErrIncomplete, n.config.Audit.Directory)
	}
	return nil
}

// publish begins to publish the audit log, until the log is closed, which is
// after the vault: the last checkpoint covers everything.
func (n *Node) publish(ctx context.Context) error {
	signers, err := n.Vault.AuditSigners()
	if err != nil {
		return err
	}
	return n.Log.Publish(ctx, signers, n.logger)
}

// sparePersons lets 64 callers that store new persons share the commits of the
// key store well; a crash leaves at most as many keys to sweep.
const sparePersons = 64

// parts opens the stores and key providers of a vault. The key store comes
// first: another process on the directory is found before anybody is asked,
// and it tells which KEK is needed.
func (n *Node) parts(ctx context.Context) (vault.Options, error) {
	if err := requireFIPS(n.config); err != nil {
		return vault.Options{}, err
	}
	path := filepath.Join(n.config.Directory, keysName)
	var err error
	n.Keys, err = boltstore.Open(boltstore.Options{Path: path, Tables: rows.KeyTables(), Logger: n.logger})
	if err != nil {
		return vault.Options{}, err
	}
	n.closing(n.Keys.Close)
	kek, err := n.openKEK(ctx)
	if err != nil {
		return vault.Options{}, err
	}
	of := &n.config.Epochs.EpochProvider
	epochs, done, err := n.providers.openEpochs(ctx, of)
	if err != nil {
		return vault.Options{}, fmt.Errorf("open epochs.%s: %w", of.Kind(), err)
	}
	n.closing(done)
	o := vault.Options{
		Keys: n.Keys, Values: n.openValues, KEK: kek, Epochs: epochs,
		Logger: n.logger, SubjectKeyCache: n.config.SubjectKeyCache, SparePersons: sparePersons,
	}
	n.keyRules(&o)
	if n.config.Backup != nil {
		o.BeforeEpochEnds = n.beforeEpochEnds
	}
	return o, nil
}

func (n *Node) openValues(s vault.Sealer) (store.Store, error) {
	path := filepath.Join(n.config.Directory, valuesName)
	values, err := boltstore.Open(boltstore.Options{
		Path: path, Tables: rows.ValueTables(), Seal: s, Logger: n.logger,
	})
	if err != nil {
		return nil, err
	}
	n.Values = values
	return values, nil
}

func (n *Node) closing(f func() error) { n.closers = append(n.closers, f) }

// Serve listens on the configured address and answers calls until the context
// ends; then running calls get the grace period. ready, when not nil, is told
// the address.
func (n *Node) Serve(ctx context.Context, ready func(net.Addr)) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", n.config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	n.logger.Info("serving", "address", l.Addr().String(), "policy_version", n.Vault.PolicyVersion())
	if ready != nil {
		ready(l.Addr())
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		n.logger.Info("stopping", "grace", n.config.ShutdownGrace)
		n.server.Stop(n.config.ShutdownGrace)
		close(stopped)
	})
	err = n.server.Serve(l)
	if !stop() {
		<-stopped
	}
	return err
}

// Close closes everything in reverse order. It may be called more than once.
func (n *Node) Close() error {
	var errs []error
	for len(n.closers) > 0 {
		last := len(n.closers) - 1
		errs = append(errs, n.closers[last]())
		n.closers = n.closers[:last]
	}
	return errors.Join(errs...)
}

// create makes the vault in the directory of a configuration.
func create(ctx context.Context, c *config.Config, administrator string, logger *slog.Logger) (err error) {
	n := newNode(c, logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	parts, err := n.parts(ctx)
	if err != nil {
		return err
	}
	parts.Log, err = audit.Open(c.Audit.Directory, audit.Options{})
	if err != nil {
		return fmt.Errorf("make the audit log: %w", err)
	}
	n.closing(parts.Log.Close)
	return vault.Create(ctx, parts, administrator)
}

// exists reports whether a path is there.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
