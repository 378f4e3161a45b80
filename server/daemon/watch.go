package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/metrics"
	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/jsonlines"
	"github.com/cloakroom-vault/cloakroom/server/sink/otlp"
	"github.com/cloakroom-vault/cloakroom/server/sink/syslog"
	"github.com/cloakroom-vault/cloakroom/server/sink/webhook"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const (
	// sinksName is the folder of the cursors of sinks and webhooks.
	sinksName = "sinks"
	// alarmsName is the state of the alarms.
	alarmsName = "alarms.json"

	// flushTime is how long a stop waits for sinks to take what is left.
	flushTime = 5 * time.Second
	// pruneEvery is the time between two looks for entries that are too old.
	pruneEvery = 6 * time.Hour
)

// follow begins what works behind the audit log: alarms, sinks, webhooks and
// retention. None of it is in the path of an answer.
func (n *Node) follow(ctx context.Context) error {
	if err := n.watchAlarms(ctx); err != nil {
		return err
	}
	if err := n.openSinks(); err != nil {
		return err
	}
	n.retain(ctx)
	return nil
}

// background runs do until the node is closed.
func (n *Node) background(ctx context.Context, do func(context.Context)) {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { do(run) })
	n.closing(func() error {
		stop()
		running.Wait()
		return nil
	})
}

// watchAlarms looks for alarms in the log.
func (n *Node) watchAlarms(ctx context.Context) error {
	c, err := alarmConfig(&n.config.Alarms)
	if err != nil {
		return err
	}
	o := alarm.Options{
		Log: n.Log, Path: filepath.Join(n.config.Directory, alarmsName), Config: c,
		Honey: n.Vault.IsHoney, FromStart: true, Logger: n.logger,
	}
	n.alarms, err = alarm.Open(o)
	if errors.Is(err, alarm.ErrState) {
		// The whole log is looked at again: what the state had not seen yet is not
		// passed over, and an alarm that comes again has the same id.
		n.logger.Error("the state of the alarms is damaged and put aside; the log is looked at anew", "error", err)
		if err := os.Rename(o.Path, o.Path+".damaged"); err != nil {
			return fmt.Errorf("put the state of the alarms aside: %w", err)
		}
		n.alarms, err = alarm.Open(o)
	}
	if err != nil {
		return fmt.Errorf("open the alarms: %w", err)
	}
	n.background(ctx, func(ctx context.Context) {
		if err := n.alarms.Run(ctx); err != nil && !errors.Is(err, audit.ErrClosed) {
			n.logger.Error("the alarms ended", "error", err)
		}
	})
	return nil
}

// alarmConfig is what package alarm makes of the configuration.
func alarmConfig(a *config.Alarms) (alarm.Config, error) {
	c := alarm.Config{
		UnknownTokens: alarm.Series(a.UnknownTokens), Refusals: alarm.Series(a.Refusals), Persons: alarm.Persons(a.Persons),
	}
	for _, h := range a.Hours {
		zone, err := time.LoadLocation(h.Zone)
		if err != nil {
			return c, fmt.Errorf("alarms.hours: the zone: %w", err)
		}
		c.Hours = append(c.Hours, alarm.Hours{Principals: h.Principals, Days: h.Days, From: h.From, To: h.To, Location: zone})
	}
	return c, nil
}

// openSinks begins to carry the log to its sinks and alarms to webhooks.
func (n *Node) openSinks() error {
	if len(n.config.Audit.Sinks)+len(n.config.Alarms.Webhooks) == 0 {
		return nil
	}
	dir := filepath.Join(n.config.Directory, sinksName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	feed := sink.NewFeed(n.Log, func(index uint64, e *audit.Entry) ([]byte, error) {
		return server.EntryJSON(n.Vault.FieldName, index, e)
	})
	for i := range n.config.Audit.Sinks {
		s := &n.config.Audit.Sinks[i]
		target, err := n.target(s)
		if err != nil {
			return fmt.Errorf("open the sink %s: %w", s.Name, err)
		}
		err = n.carry(sink.Options{
			Name: s.Name, Feed: feed, Target: target, Cursor: filepath.Join(dir, s.Name+".cursor"), Begin: sink.AtFirst, Logger: n.logger,
		})
		if err != nil {
			return err
		}
	}
	for _, w := range n.config.Alarms.Webhooks {
		target, err := webhook.New(webhook.Options{URL: w.URL, SecretFile: w.SecretFile, CA: w.CA})
		if err != nil {
			return fmt.Errorf("open the webhook %s: %w", w.Name, err)
		}
		err = n.carry(sink.Options{
			Name: "webhook " + w.Name, Feed: feed, Target: target, Cursor: filepath.Join(dir, w.Name+".webhook.cursor"), Begin: sink.AtEnd,
			Filter: func(e *audit.Entry) bool { return e.Action == audit.ActionAlarm }, MaxEntries: 1, Logger: n.logger,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) carry(o sink.Options) error {
	f, err := sink.Start(o)
	if err != nil {
		return errors.Join(fmt.Errorf("begin the sink %s: %w", o.Name, err), o.Target.Close())
	}
	shown := metrics.Sink{Name: o.Name, Stats: f.Stats}
	if collector, ok := o.Target.(*otlp.Target); ok {
		shown.Rejected = collector.Rejected
	}
	n.sinks = append(n.sinks, shown)
	n.closing(func() error {
		ctx, stop := context.WithTimeout(context.Background(), flushTime)
		defer stop()
		return f.Stop(ctx)
	})
	return nil
}

func (n *Node) target(s *config.Sink) (sink.Target, error) {
	switch {
	case s.File != nil:
		return jsonlines.Open(s.File.Path)
	case s.Syslog != nil:
		return syslog.New(syslog.Options{Address: s.Syslog.Address, CA: s.Syslog.CA})
	default:
		return otlp.New(otlp.Options{Endpoint: s.OTLP.Endpoint, HeadersFile: s.OTLP.HeadersFile, CA: s.OTLP.CA, Logger: n.logger})
	}
}

// retain removes entries of the log that are older than its retention.
func (n *Node) retain(ctx context.Context) {
	days := n.config.Audit.Retention
	if days == 0 {
		return
	}
	n.background(ctx, func(ctx context.Context) {
		tick := time.NewTicker(pruneEvery)
		defer tick.Stop()
		for {
			first := n.Log.First()
			kept, err := n.Log.Prune(ctx, time.Now().AddDate(0, 0, -days))
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				n.logger.Error("entries of the audit log that are too old could not be removed", "error", err)
			case kept > first:
				n.logger.Info("entries of the audit log were removed by age", "first", kept, "days", days)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}
