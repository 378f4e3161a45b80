package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

func newServe() *cobra.Command {
	var path string
	var begin bool
	c := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Serve a vault directory until SIGINT or SIGTERM",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			if begin {
				if err := daemon.BeginLog(c.Context(), cfg, newLogger(cfg.Log, c.ErrOrStderr())); err != nil {
					return err
				}
			}
			return serve(c.Context(), cfg, newLogger(cfg.Log, c.ErrOrStderr()))
		},
	}
	c.Flags().StringVar(&path, "config", "", "the configuration file (required)")
	c.Flags().BoolVar(&begin, "begin-audit-log", false, "begin a new audit log where the old one is lost for good")
	_ = c.MarkFlagRequired("config")
	return c
}

func serve(ctx context.Context, cfg *config.Config, logger *slog.Logger) (err error) {
	daemon.Tune()
	if err := daemon.Harden(); err != nil {
		return err
	}
	if err := cfg.Check(); err != nil {
		return err
	}
	node, err := daemon.Open(ctx, cfg, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	return node.Serve(ctx, func(net.Addr) {})
}

// newLogger makes the logger that the configuration asks for.
func newLogger(l config.Log, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.Level}
	if l.Format == config.JSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
