package daemon

import (
	"context"
	"errors"
	"net"

	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/server/metrics"
	"github.com/cloakroom-vault/cloakroom/server/sink"
)

// serveMetrics serves metrics beside the vault, and has the server's calls
// counted.
func (n *Node) serveMetrics(ctx context.Context, o *server.Options) (err error) {
	decisions, calls := metrics.NewDecisions(), &metrics.Calls{}
	err = n.carry(sink.Options{
		Name: "metrics", Feed: sink.NewFeed(n.Log, nil), Target: decisions, Plain: true, Begin: sink.AtEnd, Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.sinks = n.sinks[:len(n.sinks)-1] // nothing is carried off
	s, err := metrics.New(metrics.Sources{
		Log: n.Log, Index: covered{n}, Alarms: n.alarms, Sinks: n.sinks, Decisions: decisions, Calls: calls,
	}, n.logger)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", n.config.Metrics.Listen)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	o.Unary, o.Stream = calls.Unary, calls.Stream
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	n.closing(func() error { return errors.Join(s.Close(), <-served) })
	n.MetricsAddress = l.Addr()
	n.logger.Info("serving metrics", "address", l.Addr().String())
	return nil
}

// covered is the index of the log, as metrics ask it.
type covered struct{ node *Node }

// Covered implements metrics.Index.
func (c covered) Covered() uint64 {
	n, _ := c.node.Vault.IndexCovered()
	return n
}
